/*
 * config_text.h: a spec from the text of a config.json, which may use ' for ".
 */
#ifndef PP_TEST_CONFIG_TEXT_H
#define PP_TEST_CONFIG_TEXT_H

#include "model/config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct ppi_mem mem;
static struct ppi_config config;

/* Into config. */
static pp_status read(const char *text, pp_error *err)
{
    static const struct ppi_log silence;
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, &silence, &config, err);
    free(copy);
    return status;
}

static const struct ppi_model_spec *parse(const char *text)
{
    pp_error err = {.struct_size = sizeof err};
    pp_status status = read(text, &err);
    ck_assert_msg(status == PP_OK, "%s: %s", text, err.message);
    return &config.spec;
}

static void done(void)
{
    ppi_config_free(&config, &mem);
    ck_assert_int_eq(mem.bytes, 0);
}

#endif
