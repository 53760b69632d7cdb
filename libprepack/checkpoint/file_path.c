/* file_path.c: a file in the place of a model directory: what it is, and what to pass instead. */
#define _GNU_SOURCE
#include "checkpoint/model_path.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum file_group {
    PART_OF_A_MODEL, /* the directory around it is what is wanted */
    PICKLE,          /* weights of PyTorch */
    OTHER_FORMAT,    /* a model in a format of its own */
    ARCHIVE,
};

static const struct {
    const char *ending;
    enum file_group group;
    const char *what; /* as a sentence calls it */
} files[] = {
    {".safetensors", PART_OF_A_MODEL, "a file of weights"},
    {".safetensors.index.json", PART_OF_A_MODEL, "the list of a model's weight files"},
    {".json", PART_OF_A_MODEL, "a file of a model's settings"},
    {".model", PART_OF_A_MODEL, "a tokenizer"},
    {".pth", PICKLE, NULL},
    {".pt", PICKLE, NULL},
    {".bin", PICKLE, NULL},
    {".ckpt", PICKLE, NULL},
    {".onnx", OTHER_FORMAT, "an ONNX model"},
    {".tflite", OTHER_FORMAT, "a LiteRT model"},
    {".h5", OTHER_FORMAT, "a Keras model"},
    {".keras", OTHER_FORMAT, "a Keras model"},
    {".msgpack", OTHER_FORMAT, "a Flax model"},
    {".npz", OTHER_FORMAT, "a file of NumPy arrays"},
    {".pte", OTHER_FORMAT, "an ExecuTorch model"},
    {".engine", OTHER_FORMAT, "a TensorRT engine"},
    {".zip", ARCHIVE, NULL},
    {".tar", ARCHIVE, NULL},
    {".tgz", ARCHIVE, NULL},
    {".gz", ARCHIVE, NULL},
    {".zst", ARCHIVE, NULL},
    {".xz", ARCHIVE, NULL},
};

/* Whether a regular file begins with `begin`. */
static bool begins_with(const char *path, const char *begin)
{
    char bytes[64];
    const size_t n = strlen(begin);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    const ssize_t got = read(fd, bytes, n);
    close(fd);
    return got == (ssize_t)n && memcmp(bytes, begin, n) == 0;
}

static pp_status refuse_by_name(const char *path, pp_error *err)
{
    char name[PATH_MAX], dir[PATH_MAX];
    ppi_path_last(path, name);
    ppi_path_parent(path, dir);
    const struct ppi_label label = ppi_label_path(path, NULL), around = ppi_label_path(dir, NULL);
    for (size_t i = 0; i < PPI_COUNT(files); i++) {
        if (!ppi_path_ends(name, files[i].ending))
            continue;
        switch (files[i].group) {
        case PART_OF_A_MODEL:
            return ppi_error(err, PP_ERR_IO, "%s is %s; pass the directory %s that holds it",
                             label.text, files[i].what, around.text);
        case PICKLE:
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s is a PyTorch file, and pickles are not read; save the model as "
                             "safetensors and pass the directory %s",
                             label.text, around.text);
        case OTHER_FORMAT:
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s is %s, which is not read; pass the directory of the same model "
                             "with config.json and safetensors files",
                             label.text, files[i].what);
        case ARCHIVE:
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s is an archive; unpack it and pass the directory with config.json",
                             label.text);
        }
    }
    return ppi_error(err, PP_ERR_IO,
                     "%s is a file; a model is a directory with config.json and safetensors "
                     "files, or a GGUF file",
                     label.text);
}

pp_status ppi_refuse_file(const char *path, const struct stat *info, pp_error *err)
{
    if (!S_ISREG(info->st_mode))
        return ppi_error(err, PP_ERR_IO,
                         "%s is neither a directory nor a file; a model is a directory with "
                         "config.json and safetensors files",
                         ppi_label_path(path, NULL).text);
    if (begins_with(path, "version https://git-lfs.github.com/spec/"))
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s is a Git LFS pointer in place of the file; fetch the files with \"git "
                         "lfs pull\" in its folder, and pass that folder",
                         ppi_label_path(path, NULL).text);
    return refuse_by_name(path, err);
}
