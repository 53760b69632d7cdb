/*
 * test_weight_kinds.c: what classes with experts and linear layers store: the parts of a weight
 * make the whole, in every form that files may have; as many numbers as the class of transformers
 * has; and which norms have their 1.
 */
#include "model/model_impl.h"
#include "support/tap.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define LINEAR                                                                                     \
    ",'linear_key_head_dim':8,'linear_value_head_dim':8,'linear_num_key_heads':2,"                 \
    "'linear_num_value_heads':4,'head_dim':16"
#define EXPERTS ",'moe_intermediate_size':16,'num_experts':4,'num_experts_per_tok':2"
#define SHARED  ",'shared_expert_intermediate_size':24"
#define HYBRID                                                                                     \
    ",'mamba_n_heads':4,'mamba_d_state':8,'shared_intermediate_size':24,'layer_types':["           \
    "'linear_attention','full_attention','linear_attention','linear_attention']"

/* Numbers in what save_pretrained of transformers 5.24 writes. */
static const struct {
    const char *type, *more;
    int64_t n_parameters;
} MODELS[] = {
    {"mixtral", ",'num_local_experts':4", 90912},
    {"qwen2_moe", EXPERTS SHARED ",'mlp_only_layers':[1]", 47360},
    {"qwen3_moe", EXPERTS ",'head_dim':16", 54176},
    {"olmoe", ",'num_experts':4,'num_experts_per_tok':2", 91104},
    {"granitemoe", ",'num_local_experts':4", 90912},
    {"granitemoeshared", ",'num_local_experts':4,'shared_intermediate_size':24", 100128},
    {"gpt_oss", ",'num_local_experts':4,'num_experts_per_tok':2,'head_dim':16", 105920},
    {"glm4_moe",
     ",'n_routed_experts':4,'num_experts_per_tok':2,'moe_intermediate_size':16,"
     "'use_qk_norm':true,'head_dim':16",
     57132},
    {"qwen3_next", LINEAR EXPERTS SHARED, 60912},
    {"qwen3_5_text", LINEAR, 44912},
    {"qwen3_5_moe_text", LINEAR EXPERTS SHARED, 60912},
    {"granitemoehybrid", HYBRID ",'num_local_experts':4", 112692},
    {"granitemoehybrid", HYBRID ",'num_local_experts':0", 38452},
};

static pp_model *create(const char *type, const char *more)
{
    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    char text[1024];
    snprintf(text, sizeof text,
             "{'model_type':'%s','vocab_size':64,'hidden_size':32,'intermediate_size':48,"
             "'num_hidden_layers':4,'num_attention_heads':4,'num_key_value_heads':2%s}",
             type, more);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    pp_status status = pp_model_create_random(text, 5, NULL, &model, &err);
    ck_assert_msg(status == PP_OK, "%s: %s", type, err.message);
    return model;
}

/* Rows of all parts that a layer has of a weight, under each other; a vector's are its columns. */
static void check_parts(const struct ppi_model_spec *spec, const struct ppi_tensor_rule *rules,
                        int32_t n_parts, int32_t layer)
{
    bool vector = ppi_weight_kinds[rules->weight].matrix == PPI_MATRIX_VECTOR;
    int64_t whole[2], sum = 0, n_there = 0;
    ppi_part_shape(spec, layer, rules->weight, PPI_PART_ALL, &whole[0], &whole[1]);
    for (int32_t i = 0; i < n_parts; i++) {
        int64_t part[2];
        if (!ppi_rule_holds(&rules[i], spec, layer))
            continue;
        ppi_part_shape(spec, layer, rules->weight, rules[i].part, &part[0], &part[1]);
        ck_assert_int_eq(part[!vector], whole[!vector]);
        sum += part[vector];
        n_there++;
    }
    ck_assert_msg(n_there == 0 || sum == whole[vector], "%s: %d of %d", rules->name, (int)sum,
                  (int)whole[vector]);
}

START_TEST(parts_are_the_whole)
{
    static const int32_t forms[] = {PPI_WHEN_EXPERTS_SINGLE, PPI_WHEN_EXPERTS_FUSED,
                                    PPI_WHEN_EXPERTS_PACKED};
    pp_model *model = create(MODELS[_i].type, MODELS[_i].more);
    struct ppi_model_spec *spec = &model->spec;
    for (size_t f = 0; f < PPI_COUNT(forms); f++) {
        spec->experts.files = forms[f];
        for (int32_t layer = 0; layer < spec->n_layers; layer++) {
            const struct ppi_tensor_rule *rule = model->arch->tensors;
            for (int32_t n; rule->name; rule += n) {
                n = ppi_rule_n_parts(rule);
                check_parts(spec, rule, n, layer);
            }
        }
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(counts_as_its_class)
{
    pp_model *model = create(MODELS[_i].type, MODELS[_i].more);
    ck_assert_int_eq(pp_model_n_parameters(model), MODELS[_i].n_parameters);
    pp_model_unref(model);
}
END_TEST

/* What the layers of a model have, one letter each: a linear layer's weights L, attention's A, its
 * gate G, sinks S, experts E, a shared one H, its gate g, a dense MLP D. */
static void letters(const pp_model *model, int32_t layer, char text[16])
{
    static const struct {
        enum ppi_weight weight;
        char letter;
    } known[] = {
        {PPI_WEIGHT_LINEAR_IN, 'L'},   {PPI_WEIGHT_QKV, 'A'},
        {PPI_WEIGHT_ATTN_GATE, 'G'},   {PPI_WEIGHT_SINKS, 'S'},
        {PPI_WEIGHT_EXPERT_DOWN, 'E'}, {PPI_WEIGHT_SHARED_DOWN, 'H'},
        {PPI_WEIGHT_SHARED_GATE, 'g'}, {PPI_WEIGHT_DOWN, 'D'},
        {PPI_WEIGHT_ROUTER_BIAS, 'b'}, {PPI_WEIGHT_ROUTER_CORRECTION, 'c'},
        {PPI_WEIGHT_LINEAR_D, 'd'},    {PPI_WEIGHT_Q_NORM, 'n'},
    };
    for (size_t i = 0; i < PPI_COUNT(known); i++)
        for (const struct ppi_tensor_rule *rule = model->arch->tensors; rule->name; rule++)
            if (rule->weight == known[i].weight && ppi_rule_holds(rule, &model->spec, layer)) {
                *text++ = known[i].letter;
                break;
            }
    *text = '\0';
}

START_TEST(layers_have_their_weights)
{
    static const struct {
        const char *type, *more, *layers;
    } cases[] = {
        {"mixtral", "", "AE AE AE AE "},
        {"qwen2_moe", ",'mlp_only_layers':[1],'num_experts':4", "AEHg AD AEHg AEHg "},
        {"qwen2_moe", ",'shared_expert_intermediate_size':0,'num_experts':4", "AE AE AE AE "},
        {"olmoe", ",'num_experts':8", "AEn AEn AEn AEn "},
        {"gpt_oss", ",'num_local_experts':4,'head_dim':16", "ASEb ASEb ASEb ASEb "},
        {"glm4_moe", "", "AD AEHc AEHc AEHc "},
        {"glm4_moe", ",'use_qk_norm':true,'n_shared_experts':0", "ADn AEcn AEcn AEcn "},
        {"qwen3_next", LINEAR ",'num_experts':16", "LEHg LEHg LEHg AGEHgn "},
        {"qwen3_5_text", LINEAR, "LD LD LD AGDn "},
        {"granitemoehybrid", HYBRID, "LEHd AEH LEHd LEHd "},
        {"granitemoehybrid", HYBRID ",'num_local_experts':0", "LDd AD LDd LDd "},
        {"granitemoeshared", "", "AE AE AE AE "},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        char text[80] = "", layer[16];
        pp_model *model = create(cases[i].type, cases[i].more);
        for (int32_t l = 0; l < model->spec.n_layers; l++) {
            letters(model, l, layer);
            strcat(strcat(text, layer), " ");
        }
        ck_assert_msg(strcmp(text, cases[i].layers) == 0, "%s%s: %s", cases[i].type, cases[i].more,
                      text);
        pp_model_unref(model);
    }
}
END_TEST

/* Random norms are 1 as they act: stored as 0 where the class adds a 1 when it is loaded. */
START_TEST(plain_norms_have_their_one)
{
    pp_model *model = create("qwen3_5_text", LINEAR);
    const struct ppi_tensors *tensors = &model->tensors;
    int n_plain = 0, n_others = 0;
    for (int32_t i = 0; i < tensors->n_rules; i++) {
        const struct ppi_weight_kind *kind = &ppi_weight_kinds[tensors->rules[i].weight];
        float values[64];
        if (kind->meaning != PPI_MEANS_NORM || !ppi_rule_holds(&tensors->rules[i], &model->spec, 0))
            continue;
        ck_assert_int_eq(ppi_tensors_read(tensors, &model->spec, i, 0, 0, 1, values, NULL), PP_OK);
        ck_assert(values[0] == (kind->plain ? 1 : 0));
        n_plain += kind->plain;
        n_others += !kind->plain;
    }
    ck_assert_int_eq(n_plain, 1);
    ck_assert_int_eq(n_others, 3); /* of the first layer, and the last norm */
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weight_kinds");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, parts_are_the_whole, 0, (int)PPI_COUNT(MODELS));
    tcase_add_loop_test(rules, counts_as_its_class, 0, (int)PPI_COUNT(MODELS));
    tcase_add_test(rules, layers_have_their_weights);
    tcase_add_test(rules, plain_norms_have_their_one);
    suite_add_tcase(suite, rules);
    return tap_run(suite, CK_FORK);
}
