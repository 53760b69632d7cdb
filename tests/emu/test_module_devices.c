/*
 * test_module_devices.c: the list of devices with an emulated driver: GPUs behind the CPU, by the
 * names that open them, and those that are too old not at all.
 */
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_error err = {.struct_size = sizeof err};

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

/* The devices of a driver that shows so many GPUs of a compute capability. */
static int64_t count_with(const char *n_gpus, const char *capability)
{
    setenv("PREPACK_EMU_DEVICES", n_gpus, 1);
    setenv("PREPACK_EMU_CC", capability, 1);
    return pp_device_count();
}

START_TEST(gpus_are_listed)
{
    ck_assert_int_eq(count_with("3", "90"), 4);
    for (int64_t i = 0; i < 4; i++) {
        pp_device_info info = {.struct_size = sizeof info};
        char name[32];
        OK(pp_device_get(i, &info, &err));
        snprintf(name, sizeof name, i == 0 ? "cpu" : "cuda:%d", (int)i - 1);
        ck_assert_str_eq(info.device, name);
        if (i == 0)
            continue;
        ck_assert_str_eq(info.kernels, "9.0");
        ck_assert_int_ge(info.n_units, 1);
        ck_assert_int_ge(info.memory_bytes, 1);
        ck_assert_int_ge((int64_t)strlen(info.device_name), 1);
        ck_assert_int_eq((int64_t)strlen(info.pci_address), 12);
        pp_session *session = NULL;
        pp_session_params params;
        pp_session_params_init(&params, sizeof params);
        params.device = info.device;
        OK(pp_session_create(NULL, &params, &session, &err));
        pp_session_info opened = {.struct_size = sizeof opened};
        OK(pp_session_get_info(session, &opened, &err));
        ck_assert_str_eq(opened.device_name, info.device_name);
        pp_session_destroy(session);
    }
}
END_TEST

START_TEST(gpus_that_cannot_be_used_are_not_listed)
{
    ck_assert_int_eq(count_with("0", "90"), 1);
    ck_assert_int_eq(count_with("2", "75"), 1);
    ck_assert_int_eq(count_with("2", "80"), 3);
    pp_device_info info = {.struct_size = sizeof info};
    ck_assert_int_eq(pp_device_get(3, &info, &err), PP_ERR_ARG);
    ck_assert_msg(strstr(err.message, "no device 3; there are 3"), "%s", err.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda-module-devices");
    TCase *tcase = tcase_create("cuda-module-devices");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, gpus_are_listed);
    tcase_add_test(tcase, gpus_that_cannot_be_used_are_not_listed);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
