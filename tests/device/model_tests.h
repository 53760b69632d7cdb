/*
 * model_tests.h: the tests of test_device_model, by file.
 */
#ifndef TEST_MODEL_TESTS_H
#define TEST_MODEL_TESTS_H

/* model_close.c */
void close_to_the_cpu(void);
void close_in_the_other_type(void);

/* model_packing.c */
void packing_of_every_length(void);
void packing_at_tile_borders(void);
void nan_stays_where_it_is(void);
void decode_equals_prefill(void);

/* model_mixed.c */
void packing_of_mixed_models(void);

/* model_calls.c */
void tokens_are_the_largest_logits(void);
void samples_do_not_know_their_company(void);
void forks_share_and_part(void);
void layouts_and_types_of_copies(void);
void no_memory_is_a_status(void);
void presets_run(void);

#endif
