#include "backend.h"
const struct ppi_backend_ops ppi_cpu_ops = {.name = "cpu"};
