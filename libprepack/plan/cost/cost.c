/*
 * cost.c: what a pass costs, by a model of a few coefficients.
 */
#include "cost_impl.h"

#include <math.h>

static const pp_cost_model token_model = {
    .struct_size = sizeof(pp_cost_model), .per_token = 1, .tile = 1};

void pp_cost_init(pp_cost_model *cost, size_t struct_size)
{
    ppi_struct_init(cost, struct_size, &token_model, sizeof token_model);
}

pp_status ppi_cost_read(pp_cost_model *cost, const pp_cost_model *given, pp_error *err)
{
    *cost = token_model;
    PP_TRY(ppi_struct_read(cost, sizeof *cost, given, "pp_cost_model", err));
    const struct {
        const char *name;
        double value;
    } terms[] = {{"per_pass", cost->per_pass},
                 {"per_token", cost->per_token},
                 {"per_square", cost->per_square},
                 {"per_prompt", cost->per_prompt},
                 {"error", cost->error}};
    for (size_t i = 0; i < PPI_COUNT(terms); i++)
        if (!(terms[i].value >= 0) || !isfinite(terms[i].value))
            return ppi_error(err, PP_ERR_ARG,
                             "%s of a cost model is %g; it must be finite and at least 0",
                             terms[i].name, terms[i].value);
    if (cost->tile < 1)
        return ppi_error(err, PP_ERR_ARG, "tile of a cost model is %lld; it must be at least 1",
                         (long long)cost->tile);
    if (cost->max_tokens < 0)
        return ppi_error(err, PP_ERR_ARG,
                         "max_tokens of a cost model is %lld; it must be at least 0",
                         (long long)cost->max_tokens);
    cost->device[sizeof cost->device - 1] = '\0';
    cost->model[sizeof cost->model - 1] = '\0';
    return PP_OK;
}

pp_status pp_cost_predict(const pp_cost_model *cost, const int64_t *lengths, int64_t n,
                          double *result, pp_error *err)
{
    if (n < 0)
        return ppi_error(err, PP_ERR_ARG, "pp_cost_predict: n is %lld; it must be at least 0",
                         (long long)n);
    if (!result || (!lengths && n > 0))
        return ppi_error(err, PP_ERR_ARG, "pp_cost_predict: %s is NULL",
                         result ? "lengths" : "result");
    pp_cost_model model;
    PP_TRY(ppi_cost_read(&model, cost, err));
    int64_t tokens = 0;
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        if (lengths[i] < 1 || __builtin_add_overflow(tokens, lengths[i], &tokens))
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "prompt %lld has a length of %lld tokens; it must have at least 1",
                                (long long)i, (long long)lengths[i]);
        squares += (double)lengths[i] * (double)lengths[i];
    }
    *result = n > 0 ? ppi_cost(&model, tokens, squares, n) : 0;
    return PP_OK;
}
