/*
 * test_golden_oracle.c: the oracle against transformers, for every golden case and every family:
 * what the property tests compare the library with means what transformers means.
 */
#include "golden_list.h"
#include "support/oracle.h"
#include "support/tap.h"
#include "support/tensor_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Largest error allowed, relative to the largest value of a tensor. transformers computes in f32,
 * the angles of the rotation too: at position 130 these alone are off by 4e-6. */
#define TOLERANCE 1e-5

static struct golden_list cases;

struct comparison {
    const char *name;
    struct tensor_file *expected;
    double worst;
};

static bool has(const struct comparison *c, int prompt, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "p%d.%s", prompt, name);
    return tensor_file_has(c->expected, full);
}

static double *get(const struct comparison *c, int prompt, const char *name, size_t *n)
{
    char full[64];
    snprintf(full, sizeof full, "p%d.%s", prompt, name);
    return tensor_file_read(c->expected, full, n);
}

static void expect_close(struct comparison *c, const double *ours, int prompt, const char *name)
{
    size_t n;
    double *theirs = get(c, prompt, name, &n), largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(theirs[i]));
        double error = fabs(ours[i] - theirs[i]);
        if (!(error <= worst))
            worst = error;
    }
    ck_assert_msg(worst <= TOLERANCE * largest, "%s: p%d.%s is off by %g of %g, allowed %g",
                  c->name, prompt, name, worst, largest, TOLERANCE * largest);
    c->worst = fmax(c->worst, worst / largest);
    free(theirs);
}

/* The ids of a prompt and, after them, those appended; *n_prompt and *n their numbers. */
static int32_t *all_tokens(const struct comparison *c, int prompt, int64_t *n_prompt, int64_t *n)
{
    size_t n_first, n_next = 0;
    double *first = get(c, prompt, "tokens", &n_first);
    double *next = has(c, prompt, "next") ? get(c, prompt, "next", &n_next) : NULL;
    int32_t *tokens = malloc((n_first + n_next) * sizeof *tokens);
    for (size_t i = 0; i < n_first + n_next; i++)
        tokens[i] = (int32_t)(i < n_first ? first[i] : next[i - n_first]);
    *n_prompt = (int64_t)n_first;
    *n = (int64_t)(n_first + n_next);
    free(first);
    free(next);
    return tokens;
}

static void check_prompt(struct comparison *c, const struct oracle *oracle, int prompt)
{
    const struct oracle_config *config = oracle_get_config(oracle);
    int64_t n_prompt, n, kv_row = config->kv_row;
    int32_t *tokens = all_tokens(c, prompt, &n_prompt, &n);
    int32_t *positions = malloc((size_t)n * sizeof *positions);
    uint8_t *mask = malloc((size_t)(n * n));
    double *logits = malloc((size_t)(n * config->vocab) * sizeof *logits);
    double *kv[2];
    char name[32];
    for (int which = 0; which < 2; which++)
        kv[which] = malloc((size_t)(config->n_layers * n * kv_row) * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        positions[i] = (int32_t)i;
    for (int64_t i = 0; i < n * n; i++)
        mask[i] = i % n <= i / n;
    oracle_forward(oracle, n, tokens, positions, mask, logits, kv[0], kv[1]);

    expect_close(c, logits + (n_prompt - 1) * config->vocab, prompt, "logits");
    if (n > n_prompt)
        expect_close(c, logits + n_prompt * config->vocab, prompt, "step_logits");
    for (int64_t layer = 0; layer < config->n_layers; layer++)
        for (int which = 0; which < 2; which++) {
            const struct oracle_layer_config *of = &config->layers[layer];
            bool own = !of->linear && of->kv_layer == layer;
            snprintf(name, sizeof name, "%c.%lld", which ? 'v' : 'k', (long long)layer);
            ck_assert_msg(has(c, prompt, name) == own, "%s: p%d.%s", c->name, prompt, name);
            if (own)
                expect_close(c, kv[which] + layer * n * kv_row, prompt, name);
        }
    free(tokens), free(positions), free(mask), free(logits), free(kv[0]), free(kv[1]);
}

START_TEST(oracle_matches_transformers)
{
    struct comparison c = {.name = cases.names[_i]};
    char path[1100];
    snprintf(path, sizeof path, "%s/expected.safetensors", golden_dir(c.name));
    c.expected = tensor_file_open(path);
    struct oracle *oracle = oracle_open(golden_dir(c.name));
    int n = 0;
    for (; has(&c, n, "tokens"); n++)
        check_prompt(&c, oracle, n);
    ck_assert_int_ge(n, 3);
    printf("# %s: off by %.1e at most\n", c.name, c.worst);
    oracle_close(oracle);
    tensor_file_close(c.expected);
}
END_TEST

int main(void)
{
    cases = golden_list_read("cases.txt");
    golden_list_append(&cases, "mixed.txt");
    Suite *suite = suite_create("golden-oracle");
    TCase *tcase = tcase_create("golden-oracle");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, oracle_matches_transformers, 0, cases.n);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
