/*
 * test_config_arch.c: what config.json means to each class: windows and rotations of layers, ropes,
 * multipliers, text models inside others, and what is refused of one class alone. The expectations
 * are those of transformers 5.
 */
#include "model/config.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ppi_mem mem;
static struct ppi_config config;
static char last_warning[512];

static void keep_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == PP_LOG_WARNING)
        snprintf(last_warning, sizeof last_warning, "%s", message);
}

/* Into config; the text may use ' for ". */
static pp_status read(const char *text, pp_error *err)
{
    const struct ppi_log log = {.fn = keep_warning};
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    last_warning[0] = '\0';
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, &log, &config, err);
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

/* ---- windows and rotations ---- */

/* A letter and a sign for each layer: w with the window 8, f without one; the rope's number, or -.
 */
static const struct {
    const char *text, *layers;
} LAYERS[] = {
    {"{'model_type':'llama','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'mistral','num_hidden_layers':2,'sliding_window':8}", "w0w0"},
    {"{'model_type':'mistral','num_hidden_layers':2,'sliding_window':null}", "f0f0"},
    {"{'model_type':'mistral','num_hidden_layers':2,'sliding_window':8,'layer_types':"
     "['full_attention','sliding_attention']}",
     "f0w0"},
    {"{'model_type':'mistral','num_hidden_layers':2,'sliding_window':8,'layer_types':null}",
     "w0w0"},
    {"{'model_type':'ministral','num_hidden_layers':2,'sliding_window':null}", "f0f0"},
    {"{'model_type':'ministral','num_hidden_layers':2,'sliding_window':8,'layer_types':"
     "['attention','sliding_attention']}",
     "f0w0"},
    {"{'model_type':'ministral3','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'ministral3','num_hidden_layers':2,'sliding_window':8}", "w0w0"},
    {"{'model_type':'phi3','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'phi3','num_hidden_layers':2,'sliding_window':8}", "w0w0"},
    {"{'model_type':'qwen2','num_hidden_layers':2,'sliding_window':8}", "f0f0"},
    {"{'model_type':'qwen2','num_hidden_layers':2,'sliding_window':8,'use_sliding_window':true}",
     "f0f0"}, /* from layer 28 on */
    {"{'model_type':'qwen2','num_hidden_layers':3,'sliding_window':8,'use_sliding_window':true,"
     "'max_window_layers':1}",
     "f0w0w0"},
    {"{'model_type':'qwen3','num_hidden_layers':2,'sliding_window':8,'use_sliding_window':true,"
     "'max_window_layers':0,'layer_types':['sliding_attention','full_attention']}",
     "w0f0"},
    {"{'model_type':'gemma2','num_hidden_layers':3,'sliding_window':8}", "w0f0w0"},
    {"{'model_type':'gemma3_text','num_hidden_layers':7,'sliding_window':8}", "w1w1w1w1w1f0w1"},
    {"{'model_type':'gemma3_text','num_hidden_layers':3,'sliding_window':8,"
     "'sliding_window_pattern':2}",
     "w1f0w1"},
    {"{'model_type':'olmo2','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'olmo3','num_hidden_layers':5,'sliding_window':8}", "w1w1w1f0w1"},
    {"{'model_type':'cohere2','num_hidden_layers':5,'sliding_window':8}", "w0w0w0f-w0"},
    {"{'model_type':'cohere2','num_hidden_layers':2,'sliding_window':8,'layer_types':"
     "['full_attention','sliding_attention']}",
     "f-w0"},
    {"{'model_type':'exaone4','num_hidden_layers':5,'sliding_window':8}", "w0w0w0f-w0"},
    {"{'model_type':'exaone4','num_hidden_layers':3,'sliding_window':8,"
     "'sliding_window_pattern':'LG'}",
     "w0f-w0"},
    {"{'model_type':'exaone4','num_hidden_layers':2,'sliding_window':null,"
     "'sliding_window_pattern':null}",
     "f0f0"},
    {"{'model_type':'smollm3','num_hidden_layers':5}", "f0f0f0f-f0"},
    {"{'model_type':'smollm3','num_hidden_layers':3,'no_rope_layers':[0,1,0]}", "f-f0f-"},
    {"{'model_type':'smollm3','num_hidden_layers':3,'no_rope_layer_interval':2}", "f0f-f0"},
    {"{'model_type':'smollm3','num_hidden_layers':5,'use_sliding_window':true,'sliding_window':8}",
     "f0f0f0w-f0"},
    {"{'model_type':'smollm3','num_hidden_layers':2,'use_sliding_window':false,'sliding_window':8}",
     "f0f0"},
    {"{'model_type':'granite','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'mixtral','num_hidden_layers':2}", "f0f0"},
    {"{'model_type':'mixtral','num_hidden_layers':2,'sliding_window':8}", "w0w0"},
    {"{'model_type':'qwen2_moe','num_hidden_layers':2,'sliding_window':8}", "f0f0"},
    {"{'model_type':'qwen2_moe','num_hidden_layers':5,'sliding_window':8,'use_sliding_window':true,"
     "'max_window_layers':3}",
     "w0f0w0f0f0"}, /* every second one of the lower */
    {"{'model_type':'qwen2_moe','num_hidden_layers':2,'sliding_window':8,'use_sliding_window':true,"
     "'layer_types':['full_attention','sliding_attention']}",
     "f0w0"},
    {"{'model_type':'qwen2_moe','num_hidden_layers':2,'sliding_window':0}", "f0f0"},
    {"{'model_type':'qwen3_moe','num_hidden_layers':2,'sliding_window':8}", "f0f0"},
    {"{'model_type':'qwen3_moe','num_hidden_layers':2,'sliding_window':8,'use_sliding_window':true,"
     "'max_window_layers':1}",
     "w0w0"},
    {"{'model_type':'gpt_oss','num_hidden_layers':3,'sliding_window':8}", "w0f0w0"},
    {"{'model_type':'glm4','num_hidden_layers':2}", "f0f0"},
};

START_TEST(reads_layers)
{
    const struct ppi_model_spec *spec = parse(LAYERS[_i].text);
    int32_t n_classes = 0, counts[2] = {0};
    char text[64] = "";
    for (int32_t i = 0; i < spec->n_layers; i++) {
        const struct ppi_layer_spec *layer = &spec->layers[i];
        char code[3] = {layer->window ? 'w' : 'f',
                        layer->i_rope < 0 ? '-' : (char)('0' + layer->i_rope), 0};
        strcat(text, code);
        if (layer->window)
            ck_assert_int_eq(layer->window, 8);
        /* places: by window, in order */
        const struct ppi_layer_place *place = &spec->places[i];
        ck_assert_int_eq(spec->classes[place->page_class].window, layer->window);
        ck_assert_int_eq(place->index, counts[place->page_class]++);
    }
    ck_assert_str_eq(text, LAYERS[_i].layers);
    n_classes = (counts[0] > 0) + (counts[1] > 0);
    ck_assert_int_eq(spec->n_page_classes, n_classes);
    ck_assert(n_classes < 2 || spec->classes[0].window == 0);
    for (int32_t i = 0; i < n_classes; i++)
        ck_assert_int_eq(spec->classes[i].n_layers, counts[i]);
    ck_assert_str_eq(last_warning, "");
    done();
}
END_TEST

/* A key that the class passes over is said to the log. */
START_TEST(says_what_is_passed_over)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"{'model_type':'llama','sliding_window':8}", "\"sliding_window\" is 8 and not used"},
        {"{'model_type':'phi3','num_hidden_layers':1,'layer_types':['sliding_attention']}",
         "\"layer_types\" is not used"},
        {"{'model_type':'olmo2','num_hidden_layers':1,'layer_types':['sliding_attention']}",
         "\"layer_types\" is not used"},
        {"{'model_type':'qwen3_moe','num_hidden_layers':1,'layer_types':['sliding_attention']}",
         "\"layer_types\" is not used"},
        {"{'model_type':'qwen3_next','sliding_window':8}", "\"sliding_window\" is 8 and not used"},
        {"{'model_type':'phi3','hidden_size':64,'num_attention_heads':8,'rope_scaling':{'type':'su'"
         ","
         "'short_factor':[1,1,1,1],'long_factor':[2,2,2,2],"
         "'original_max_position_embeddings':32}}",
         "in the rope parameters is 32 and not used"},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        parse(cases[i].text);
        ck_assert_msg(strstr(last_warning, cases[i].warning) != NULL, "%s: \"%s\"", cases[i].text,
                      last_warning);
        done();
    }
    parse("{'model_type':'phi3','num_hidden_layers':1,'layer_types':['full_attention']}");
    ck_assert_str_eq(last_warning, "");
    done();
}
END_TEST

/* ---- ropes ---- */

START_TEST(ropes_by_type_of_layer)
{
    const struct ppi_model_spec *spec = parse("{'model_type':'gemma3_text'}");
    ck_assert_int_eq(spec->n_ropes, 2);
    ck_assert(spec->ropes[0].theta == 1e6 && spec->ropes[1].theta == 1e4);
    done();
    spec = parse("{'model_type':'gemma3_text','rope_theta':5,'rope_local_base_freq':6,"
                 "'rope_scaling':{'rope_type':'linear','factor':8}}");
    ck_assert(spec->ropes[0].theta == 5 && spec->ropes[1].theta == 6);
    ck_assert_int_eq(spec->ropes[0].type, PP_ROPE_LINEAR);
    ck_assert_int_eq(spec->ropes[1].type, PP_ROPE_DEFAULT);
    done();
    spec = parse("{'model_type':'gemma3_text','rope_theta':5,'rope_parameters':{'full_attention':"
                 "{'rope_type':'default','rope_theta':7},'sliding_attention':null}}");
    ck_assert(spec->ropes[0].theta == 7 && spec->ropes[1].theta == 1e4);
    done();
    spec = parse("{'model_type':'olmo3','rope_theta':5,'original_max_position_embeddings':99,"
                 "'rope_scaling':{'rope_type':'yarn','factor':8}}");
    ck_assert(spec->ropes[0].theta == 5 && spec->ropes[1].theta == 5e5);
    ck_assert_int_eq(spec->ropes[0].type, PP_ROPE_YARN);
    ck_assert_int_eq(spec->ropes[0].original_max_position, 2048); /* the outer key is not seen */
    ck_assert_int_eq(spec->ropes[1].type, PP_ROPE_DEFAULT);
    done();
}
END_TEST

START_TEST(yarn)
{
    const struct ppi_rope_spec *rope =
        parse("{'model_type':'llama','max_position_embeddings':4096,'rope_parameters':{'rope_type':"
              "'yarn','factor':null,'original_max_position_embeddings':1024}}")
            ->ropes;
    ck_assert(rope->factor == 4 && rope->beta_fast == 32 && rope->beta_slow == 1 && rope->truncate);
    ck_assert(rope->magnitude == 0.1 * log(4) + 1);
    done();
    rope = parse("{'model_type':'llama','original_max_position_embeddings':512,'rope_parameters':{"
                 "'rope_type':'yarn','factor':2,'mscale':1,'beta_fast':0,'beta_slow':null,"
                 "'original_max_position_embeddings':1024,'truncate':false}}")
               ->ropes;
    ck_assert_int_eq(rope->original_max_position, 512);       /* outside counts before inside */
    ck_assert(rope->magnitude == 0.1 * log(2) + 1);           /* mscale alone does not count */
    ck_assert(rope->beta_fast == 32 && rope->beta_slow == 1); /* 0 and null are no betas */
    ck_assert(!rope->truncate);
    done();
    rope = parse("{'model_type':'llama','rope_parameters':{'rope_type':'yarn','factor':2,'mscale':"
                 "0.5,'mscale_all_dim':0.25}}")
               ->ropes;
    ck_assert(rope->magnitude == (0.05 * log(2) + 1) / (0.025 * log(2) + 1));
    done();
    rope = parse("{'model_type':'llama','rope_parameters':{'rope_type':'yarn','factor':2,"
                 "'attention_factor':0.0}}")
               ->ropes;
    ck_assert(rope->magnitude == 0);
    done();
}
END_TEST

#define PHI     "'model_type':'phi3','hidden_size':64,'num_attention_heads':8,'num_hidden_layers':1"
#define FACTORS "'short_factor':[1,1,1,1.5],'long_factor':[2,2,2,2.5]"

START_TEST(longrope)
{
    const struct ppi_rope_spec *rope =
        parse("{" PHI ",'max_position_embeddings':131072,'rope_scaling':{'type':'longrope'," FACTORS
              "}}")
            ->ropes;
    ck_assert_int_eq(rope->type, PP_ROPE_LONGROPE);
    ck_assert_int_eq(rope->original_max_position, 4096);
    ck_assert(rope->short_factors[3] == 1.5f && rope->long_factors[3] == 2.5f);
    ck_assert(rope->magnitude == sqrt(1 + log(32) / log(4096)));
    done();
    rope = parse("{" PHI ",'partial_rotary_factor':0.75,'original_max_position_embeddings':64,"
                 "'rope_scaling':{'type':'yarn','factor':0.5,'short_factor':[1,1,1],'long_factor':"
                 "[1,1,1]}}")
               ->ropes;
    ck_assert_int_eq(rope->type, PP_ROPE_LONGROPE);
    ck_assert_int_eq(rope->rotary_dim, 6);
    ck_assert_int_eq(rope->original_max_position, 64);
    ck_assert(rope->magnitude == 1);
    done();
}
END_TEST

START_TEST(dynamic_goes_on)
{
    const struct ppi_model_spec *spec =
        parse("{'model_type':'llama','max_position_embeddings':1000,'rope_scaling':{'type':"
              "'dynamic','factor':2.5,'original_max_position_embeddings':10}}");
    ck_assert_int_eq(spec->ropes[0].original_max_position, 1000);
    ck_assert_int_eq(spec->max_position, 2500);
    done();
    spec = parse("{'model_type':'llama','max_position_embeddings':1000,'rope_scaling':{'type':"
                 "'dynamic','factor':1e30}}");
    ck_assert_int_eq(spec->max_position, INT32_MAX);
    done();
}
END_TEST

START_TEST(parts_of_heads)
{
    static const struct {
        const char *text;
        int32_t rotary_dim, exponent_dim;
    } cases[] = {
        {"{'model_type':'glm4','head_dim':64}", 32, 32},
        {"{'model_type':'glm4','head_dim':18}", 10, 9}, /* odd: one more, at its own angles */
        {"{'model_type':'glm4','head_dim':64,'partial_rotary_factor':1}", 64, 64},
        {"{'model_type':'glm4','head_dim':64,'partial_rotary_factor':1,'rope_parameters':"
         "{'rope_type':'default','partial_rotary_factor':0.25}}",
         16, 16},
        {"{'model_type':'phi3'}", 96, 96},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        const struct ppi_rope_spec *rope = parse(cases[i].text)->ropes;
        ck_assert_int_eq(rope->rotary_dim, cases[i].rotary_dim);
        ck_assert_int_eq(rope->exponent_dim, cases[i].exponent_dim);
        done();
    }
}
END_TEST

START_TEST(ministral3_as_it_comes)
{
    const struct ppi_model_spec *spec = parse("{'model_type':'ministral3','rope_theta':5}");
    const struct ppi_rope_spec *rope = spec->ropes;
    ck_assert_int_eq(rope->type, PP_ROPE_YARN);
    ck_assert(rope->theta == 1e6 && rope->factor == 16);
    ck_assert_int_eq(rope->original_max_position, 16384);
    ck_assert(rope->magnitude == 1);
    ck_assert(spec->q_scale_beta == 0.1);
    ck_assert_int_eq(spec->q_scale_period, 16384);
    ck_assert(ppi_spec_q_scale(spec, 16383) == 1);
    ck_assert(fabsf(ppi_spec_q_scale(spec, 16384) - 1.06931472f) < 1e-7f);
    done();
    spec =
        parse("{'model_type':'ministral3','rope_theta':5,'rope_parameters':{'rope_type':'default',"
              "'llama_4_scaling_beta':0.5,'original_max_position_embeddings':8}}");
    ck_assert(spec->ropes[0].theta == 5);
    ck_assert(spec->q_scale_beta == 0.5);
    ck_assert_int_eq(spec->q_scale_period, 8);
    done();
    ck_assert(ppi_spec_q_scale(parse("{'model_type':'llama'}"), 1000000) == 1);
    done();
}
END_TEST

/* ---- numbers of one class ---- */

START_TEST(multipliers)
{
    const struct ppi_model_spec *spec = parse("{'model_type':'gemma2'}");
    ck_assert(spec->softmax_scale == 0.0625f && spec->attn_softcap == 50);
    ck_assert(spec->logit_softcap == 30 && spec->embed_scale == 48 && spec->embed_scale_rounds);
    ck_assert_int_eq(spec->activation, PPI_ACTIVATION_GELU_TANH);
    ck_assert(spec->tie_embeddings);
    done();
    spec = parse("{'model_type':'gemma2','query_pre_attn_scalar':144,'attn_logit_softcapping':null,"
                 "'final_logit_softcapping':null,'hidden_act':'silu'}");
    ck_assert(spec->softmax_scale == (float)(1 / 12.0) && spec->attn_softcap == 0);
    ck_assert(spec->logit_softcap == 0);
    ck_assert_int_eq(spec->activation, PPI_ACTIVATION_GELU_TANH); /* the key has another name */
    done();
    spec =
        parse("{'model_type':'gemma3_text','attn_logit_softcapping':50,'final_logit_softcapping':"
              "20,'hidden_activation':'silu'}");
    ck_assert(spec->attn_softcap == 0 && spec->logit_softcap == 20);
    ck_assert_int_eq(spec->activation, PPI_ACTIVATION_SILU);
    ck_assert_int_eq(spec->qk_norm, PPI_QK_NORM_HEAD);
    done();
    spec = parse("{'model_type':'granite'}");
    ck_assert(spec->softmax_scale == 1 && spec->residual_scale == 1 && spec->embed_scale == 1);
    ck_assert(spec->logit_scale == 1 && !spec->embed_scale_rounds);
    done();
    spec = parse("{'model_type':'granite','embedding_multiplier':12,'attention_multiplier':0.0625,"
                 "'residual_multiplier':0.25,'logits_scaling':8}");
    ck_assert(spec->softmax_scale == 0.0625f && spec->residual_scale == 0.25f);
    ck_assert(spec->embed_scale == 12 && spec->logit_scale == 0.125f);
    done();
    spec = parse("{'model_type':'cohere2','layer_norm_eps':1e-3,'rms_norm_eps':1}");
    ck_assert(spec->logit_scale == 0.0625f && spec->norm_eps == 1e-3);
    ck_assert(spec->parallel && spec->center && spec->interleaved && spec->tie_embeddings);
    done();
}
END_TEST

START_TEST(biases)
{
    static const struct {
        const char *text;
        bool qkv, o, mlp;
    } cases[] = {
        {"{'model_type':'llama','attention_bias':true}", true, true, false},
        {"{'model_type':'llama','mlp_bias':true}", false, false, true},
        {"{'model_type':'granite','attention_bias':true,'mlp_bias':true}", true, true, true},
        {"{'model_type':'qwen2','attention_bias':false}", true, false, false},
        {"{'model_type':'qwen3','attention_bias':true,'mlp_bias':true}", true, true, false},
        {"{'model_type':'mistral','attention_bias':true}", false, false, false},
        {"{'model_type':'glm4'}", true, false, false},
        {"{'model_type':'glm4','attention_bias':false}", false, false, false},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        const struct ppi_model_spec *spec = parse(cases[i].text);
        ck_assert_msg(spec->qkv_bias == cases[i].qkv && spec->o_bias == cases[i].o &&
                          spec->mlp_bias == cases[i].mlp,
                      "%s", cases[i].text);
        done();
    }
}
END_TEST

/* ---- inside another model ---- */

START_TEST(text_models_inside_others)
{
    const struct ppi_model_spec *spec = parse(
        "{'model_type':'gemma3','architectures':['Gemma3ForConditionalGeneration'],"
        "'eos_token_id':[1,106],'torch_dtype':'bfloat16','text_config':{'num_hidden_layers':3,"
        "'final_logit_softcapping':20,'tie_word_embeddings':false,'eos_token_id':1}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_GEMMA3);
    ck_assert_int_eq(spec->n_layers, 3);
    ck_assert_int_eq(spec->head_dim, 256);
    ck_assert_int_eq(spec->dtype, PP_DTYPE_BF16);
    ck_assert(spec->tie_embeddings);     /* the outer key counts, omitted: true */
    ck_assert(spec->logit_softcap == 0); /* the outer class drops it */
    ck_assert_int_eq(spec->n_eos_tokens, 2);
    ck_assert_int_eq(spec->eos_tokens[1], 106);
    ck_assert_int_eq(spec->bos_token, 2);
    done();
    spec = parse("{'model_type':'mistral3','tie_word_embeddings':false,'text_config':{'model_type':"
                 "'ministral3','num_hidden_layers':2}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_MINISTRAL3);
    ck_assert(!spec->tie_embeddings);
    done();
    spec = parse("{'architectures':['Mistral3ForConditionalGeneration'],'text_config':{"
                 "'num_hidden_layers':2,'sliding_window':8}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_MISTRAL);
    ck_assert_int_eq(spec->classes[0].window, 8);
    done();
}
END_TEST

/* ---- refused ---- */

static const struct {
    const char *text, *message;
    pp_status status;
} REFUSED[] = {
    {"{'model_type':'gemma3_text','rope_parameters':{'rope_type':'linear','factor':8}}",
     "\"rope_type\" is \"linear\"; rope_parameters of this architecture have one object for",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'olmo3','rope_parameters':{'rope_type':'default','rope_theta':1e4}}",
     "rope_parameters of this architecture have one object for", PP_ERR_UNSUPPORTED},
    {"{'model_type':'olmo3','rope_scaling':{'factor':8,'type':'linear'},'rope_parameters':"
     "{'full_attention':{'rope_theta':1e4}}}",
     "\"rope_scaling\" is an object; rope_parameters has \"full_attention\" too",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'olmo3','rope_parameters':{'full_attention':{'rope_type':'yarn','factor':2,"
     "'truncate':false}}}",
     "\"truncate\" is false; true is supported in", PP_ERR_UNSUPPORTED},
    {"{'model_type':'qwen3','rope_parameters':{'full_attention':{'rope_type':'default'}}}",
     "\"full_attention\" is an object; rope parameters for a type of layer are not supported",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'phi3','rope_scaling':{'type':'linear','factor':2}}",
     "\"type\" is \"linear\"; \"default\" and \"longrope\" are supported", PP_ERR_UNSUPPORTED},
    {"{" PHI ",'rope_scaling':{'type':'longrope','short_factor':[1,1,1],'long_factor':[1,1,1,1]}}",
     "\"short_factor\" has 3 entries; 4 are needed", PP_ERR_FORMAT},
    {"{" PHI ",'rope_scaling':{'type':'longrope','short_factor':[1,1,1,1]}}",
     "\"long_factor\" is missing; an array of 4 is needed", PP_ERR_FORMAT},
    {"{" PHI
     ",'rope_scaling':{'type':'longrope','short_factor':[1,1,1,0],'long_factor':[1,1,1,1]}}",
     "\"short_factor\" is 0; finite numbers above 0", PP_ERR_FORMAT},
    {"{" PHI ",'rope_scaling':{'type':'longrope','short_factor':[1,1,1,NaN],'long_factor':[1]}}",
     "\"short_factor\" is NaN", PP_ERR_FORMAT},
    {"{" PHI ",'original_max_position_embeddings':1,'rope_scaling':{'type':'longrope'," FACTORS
     "}}",
     "\"attention_factor\" is missing; a finite number", PP_ERR_FORMAT},
    {"{'model_type':'llama','rope_scaling':{'rope_type':'yarn'}}", "\"factor\" is missing",
     PP_ERR_FORMAT},
    {"{'model_type':'llama','rope_theta':1,'rope_scaling':{'rope_type':'yarn','factor':2}}",
     "another theta than 1", PP_ERR_FORMAT},
    {"{'model_type':'llama','rope_scaling':{'rope_type':'yarn','factor':2,'beta_fast':-1}}",
     "beta_fast is -1", PP_ERR_FORMAT},
    {"{'model_type':'llama','head_dim':2,'rope_scaling':{'rope_type':'dynamic','factor':2}}",
     "more than two elements", PP_ERR_FORMAT},
    {"{'model_type':'glm4','partial_rotary_factor':1.5}", "\"partial_rotary_factor\" is 1.5",
     PP_ERR_FORMAT},
    {"{'model_type':'glm4','partial_rotary_factor':0.001}", "\"partial_rotary_factor\" is 0.001",
     PP_ERR_FORMAT},
    {"{'model_type':'ministral3','rope_parameters':{'rope_type':'yarn','factor':2}}",
     "\"llama_4_scaling_beta\" is missing", PP_ERR_FORMAT},
    {"{'model_type':'ministral3','rope_parameters':{'llama_4_scaling_beta':0.1}}",
     "\"original_max_position_embeddings\" is missing", PP_ERR_FORMAT},
    {"{'model_type':'ministral','num_hidden_layers':2,'layer_types':['full_attention']}",
     "\"layer_types\" has 1 entries; 2 are needed", PP_ERR_FORMAT},
    {"{'model_type':'ministral','layer_types':'full_attention'}", "\"layer_types\" is \"full",
     PP_ERR_FORMAT},
    {"{'model_type':'ministral','num_hidden_layers':1,'layer_types':[1]}", "\"layer_types\" is 1",
     PP_ERR_FORMAT},
    {"{'model_type':'qwen3','num_hidden_layers':1,'layer_types':['linear_attention']}",
     "\"layer_types\" is \"linear_attention\"; \"full_attention\" and", PP_ERR_UNSUPPORTED},
    {"{'model_type':'llama','num_hidden_layers':1,'layer_types':['chunked_attention']}",
     "\"layer_types\" is \"chunked_attention\"", PP_ERR_UNSUPPORTED},
    {"{'model_type':'qwen3','num_hidden_layers':1,'layer_types':['sliding_attention']}",
     "there is no sliding_window in use", PP_ERR_FORMAT},
    {"{'model_type':'smollm3','num_hidden_layers':1,'sliding_window':8,'layer_types':"
     "['sliding_attention']}",
     "there is no sliding_window in use", PP_ERR_FORMAT},
    {"{'model_type':'cohere2','sliding_window':null}", "\"sliding_window\" is null; layers of",
     PP_ERR_FORMAT},
    {"{'model_type':'exaone4','sliding_window_pattern':'GLLL'}", "\"sliding_window_pattern\" is",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'gemma3_text','sliding_window_pattern':0}", "\"sliding_window_pattern\" is 0",
     PP_ERR_FORMAT},
    {"{'model_type':'smollm3','num_hidden_layers':2,'no_rope_layers':[1]}",
     "\"no_rope_layers\" has 1 entries; 2 are needed", PP_ERR_FORMAT},
    {"{'model_type':'smollm3','num_hidden_layers':2,'no_rope_layers':[1,2]}",
     "\"no_rope_layers\" is 2; at most 1", PP_ERR_LIMIT},
    {"{'model_type':'qwen3','head_dim':null}", "\"head_dim\" is null", PP_ERR_FORMAT},
    {"{'model_type':'gemma2','hidden_activation':'gelu'}", "\"hidden_activation\" is \"gelu\"",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'gemma2','final_logit_softcapping':0}", "\"final_logit_softcapping\" is 0",
     PP_ERR_FORMAT},
    {"{'model_type':'granite','logits_scaling':0}", "\"logits_scaling\" is 0", PP_ERR_FORMAT},
    {"{'model_type':'gemma3'}", "\"text_config\" is missing; an object", PP_ERR_FORMAT},
    {"{'model_type':'gemma3','text_config':{'model_type':'gpt2'}}", "\"model_type\" is \"gpt2\"",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'gemma3','architectures':['Gemma3ForCausalLM'],'text_config':{}}",
     "Gemma3ForConditionalGeneration, Gemma3Model and Gemma3ForSequenceClassification are "
     "supported "
     "for model_type \"gemma3\"",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'gemma3_text','architectures':['Gemma3Model']}",
     "Gemma3ForCausalLM, Gemma3TextModel and Gemma3TextForSequenceClassification are supported",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'granite','architectures':['GraniteForSequenceClassification']}",
     "GraniteForCausalLM and GraniteModel are supported for model_type \"granite\"",
     PP_ERR_UNSUPPORTED},
    {"{'model_type':'qwen3','architectures':['Qwen3ForSequenceClassification'],'num_labels':0}",
     "\"num_labels\" is 0", PP_ERR_FORMAT},
    {"{'model_type':'qwen3','architectures':['Qwen3ForSequenceClassification'],'id2label':{}}",
     "\"id2label\" is an object; an object with an entry for each label is needed", PP_ERR_FORMAT},
    {"{'model_type':'qwen3','architectures':['Qwen3ForSequenceClassification'],'id2label':['a']}",
     "\"id2label\" is an array", PP_ERR_FORMAT},
    {"{'model_type':'gemma3','quantization_config':{},'text_config':{}}",
     "\"quantization_config\" is an object", PP_ERR_UNSUPPORTED},
    {"{'model_type':'gemma3','text_config':{'use_bidirectional_attention':true}}",
     "\"use_bidirectional_attention\" is true", PP_ERR_UNSUPPORTED},
};

START_TEST(refuses)
{
    pp_error err = {.struct_size = sizeof err};
    pp_status status = read(REFUSED[_i].text, &err);
    ck_assert_msg(status == REFUSED[_i].status, "%s: %d, %s", REFUSED[_i].text, status,
                  status < 0 ? err.message : "accepted");
    ck_assert_msg(strstr(err.message, REFUSED[_i].message) != NULL, "%s: %s", REFUSED[_i].text,
                  err.message);
    ck_assert_int_eq(strncmp(err.message, "config: ", 8), 0);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_arch");
    TCase *meanings = tcase_create("meanings");
    tcase_add_loop_test(meanings, reads_layers, 0, (int)PPI_COUNT(LAYERS));
    tcase_add_test(meanings, says_what_is_passed_over);
    tcase_add_test(meanings, ropes_by_type_of_layer);
    tcase_add_test(meanings, yarn);
    tcase_add_test(meanings, longrope);
    tcase_add_test(meanings, dynamic_goes_on);
    tcase_add_test(meanings, parts_of_heads);
    tcase_add_test(meanings, ministral3_as_it_comes);
    tcase_add_test(meanings, multipliers);
    tcase_add_test(meanings, biases);
    tcase_add_test(meanings, text_models_inside_others);
    suite_add_tcase(suite, meanings);
    TCase *refused = tcase_create("refused");
    tcase_add_loop_test(refused, refuses, 0, (int)PPI_COUNT(REFUSED));
    suite_add_tcase(suite, refused);
    return tap_run(suite, CK_FORK);
}
