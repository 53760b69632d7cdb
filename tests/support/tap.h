/*
 * tap.h: runs a suite of Check and prints TAP, which is how every test of the tree reports.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <check.h>
#include <stdlib.h>

/* The exit status of main. fork_status: CK_FORK where a test may crash, CK_NOFORK where tests start
 * threads or run long. */
static inline int tap_run(Suite *suite, enum fork_status fork_status)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, fork_status);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
