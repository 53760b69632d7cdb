/*
 * test_device_model.c: whole models on a device: against the CPU, and the promise that packing
 * never changes a bit. Public interface only, so that it builds and runs (on the CPU, or against an
 * emulated module) where CUDA is not. Environment variables: model_runs.h.
 *
 *     test_device_model [name of one test]
 */
#include "model_runs.h"
#include "model_tests.h"

static const struct plain_test tests[] = {
    {"close_to_the_cpu", close_to_the_cpu},
    {"close_in_the_other_type", close_in_the_other_type},
    {"packing_of_every_length", packing_of_every_length},
    {"packing_at_tile_borders", packing_at_tile_borders},
    {"nan_stays_where_it_is", nan_stays_where_it_is},
    {"decode_equals_prefill", decode_equals_prefill},
    {"packing_of_mixed_models", packing_of_mixed_models},
    {"tokens_are_the_largest_logits", tokens_are_the_largest_logits},
    {"samples_do_not_know_their_company", samples_do_not_know_their_company},
    {"forks_share_and_part", forks_share_and_part},
    {"layouts_and_types_of_copies", layouts_and_types_of_copies},
    {"no_memory_is_a_status", no_memory_is_a_status},
    {"presets_run", presets_run},
};

int main(int argc, char **argv)
{
    if (!runs_start())
        return 0;
    return plain_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
