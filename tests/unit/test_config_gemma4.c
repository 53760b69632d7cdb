/*
 * test_config_gemma4.c: what config.json means to Gemma 4: shapes of layers, whose keys they see,
 * how they rotate, and what is refused. The expectations are those of transformers 5.
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

#define SMALL "{'model_type':'gemma4_text','hidden_size':64,'vocab_size':256"

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

/* ---- layers ---- */

/* Of each layer: w with a window, f without; key/value heads x size; whose keys it sees, if not its
 * own; v where values are keys; the MLP's size where it is not 96. Then the classes of pages. */
static const struct {
    const char *text, *layers, *classes;
} LAYERS[] = {
    {SMALL ",'num_hidden_layers':7,'intermediate_size':96}",
     "w4x256 w4x256 w4x256 w4x256 w4x256 f4x512 f4x512", "0:4x512*2 512:4x256*5"},
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'layer_types':['full_attention',"
           "'sliding_attention'],'global_head_dim':64,'head_dim':32}",
     "f4x64 f4x64", "0:4x64*2"}, /* the last sees all */
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'global_head_dim':64,'head_dim':32,"
           "'num_global_key_value_heads':2}",
     "w4x32 f4x64", "0:4x64*1 512:4x32*1"}, /* which counts where keys are values */
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'global_head_dim':64,'head_dim':32,"
           "'num_global_key_value_heads':2,'attention_k_eq_v':true,'sliding_window':8}",
     "w4x32 f2x64v", "0:2x64*1 8:4x32*1"},
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'attention_k_eq_v':true,'head_dim':32,"
           "'global_head_dim':64,'num_global_key_value_heads':null}",
     "w4x32 f4x64v", "0:4x64*1 512:4x32*1"},
    {SMALL ",'num_hidden_layers':5,'intermediate_size':96,'head_dim':32,'global_head_dim':64,"
           "'num_kv_shared_layers':2,'layer_types':['sliding_attention','full_attention',"
           "'sliding_attention','sliding_attention','full_attention']}",
     "w4x32 f4x64 w4x32 w4x32=2 f4x64=1", "0:4x64*1 512:4x32*2"},
    {SMALL ",'num_hidden_layers':3,'intermediate_size':96,'head_dim':32,'global_head_dim':64,"
           "'num_kv_shared_layers':1,'use_double_wide_mlp':true,'layer_types':["
           "'sliding_attention','full_attention','full_attention']}",
     "w4x32 f4x64 f4x64=1/192", "0:4x64*1 512:4x32*1"},
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'head_dim':32,'global_head_dim':64,"
           "'per_layer_config':{'01':{'head_dim':16,'num_key_value_heads':1}}}",
     "w4x32 f1x16", "0:1x16*1 512:4x32*1"}, /* and not what global_head_dim says */
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'head_dim':32,'per_layer_config':{}}",
     "w4x32 f4x32", "0:4x32*1 512:4x32*1"},
    {SMALL ",'num_hidden_layers':2,'intermediate_size':96,'head_dim':32,'per_layer_config':null}",
     "w4x32 f4x32", "0:4x32*1 512:4x32*1"},
    {SMALL ",'num_hidden_layers':3,'intermediate_size':96,'head_dim':32,'per_layer_config':{"
           "'1':{'num_key_value_heads':2},'2':{}}}",
     "w4x32 w2x32 f4x32", "0:4x32*1 512:4x32*1 512:2x32*1"},
};

static void describe(const struct ppi_model_spec *spec, int32_t i, char text[32])
{
    const struct ppi_layer_spec *layer = &spec->layers[i];
    int n = snprintf(text, 32, "%s%c%dx%d", i > 0 ? " " : "", layer->window > 0 ? 'w' : 'f',
                     layer->n_kv_heads, layer->head_dim);
    if (layer->kv_layer != i)
        n += snprintf(text + n, 32 - (size_t)n, "=%d", layer->kv_layer);
    if (layer->v_is_k)
        n += snprintf(text + n, 32 - (size_t)n, "v");
    if (layer->mlp_size != 96)
        snprintf(text + n, 32 - (size_t)n, "/%d", layer->mlp_size);
    ck_assert_int_eq(layer->i_rope, layer->window > 0);
}

START_TEST(reads_shapes_of_layers)
{
    const struct ppi_model_spec *spec = parse(LAYERS[_i].text);
    char layers[256] = "", classes[128] = "", one[64];
    for (int32_t i = 0; i < spec->n_layers; i++) {
        describe(spec, i, one);
        strcat(layers, one);
        ck_assert_int_eq(spec->places[i].page_class,
                         spec->places[spec->layers[i].kv_layer].page_class);
        ck_assert_int_eq(spec->places[i].index, spec->places[spec->layers[i].kv_layer].index);
    }
    for (int32_t c = 0; c < spec->n_page_classes; c++) {
        const struct ppi_kv_class *shape = &spec->classes[c];
        snprintf(one, sizeof one, "%s%d:%dx%d*%d", c > 0 ? " " : "", shape->window,
                 shape->n_kv_heads, shape->head_dim, shape->n_layers);
        strcat(classes, one);
    }
    ck_assert_str_eq(layers, LAYERS[_i].layers);
    ck_assert_str_eq(classes, LAYERS[_i].classes);
    ck_assert_int_eq(last_warning[0] != '\0', _i == 1);
    done();
}
END_TEST

/* Rows behind the last writer of keys may be left out. */
START_TEST(finds_the_last_writer)
{
    ck_assert_int_eq(parse(LAYERS[5].text)->last_writer, 2);
    done();
    ck_assert_int_eq(parse(LAYERS[0].text)->last_writer, 6);
    done();
}
END_TEST

/* ---- ropes ---- */

START_TEST(rotates_a_share_of_whole_heads)
{
    const struct ppi_model_spec *spec =
        parse(SMALL ",'num_hidden_layers':2,'head_dim':16,'global_head_dim':32}");
    const struct ppi_rope_spec *full = &spec->ropes[0], *sliding = &spec->ropes[1];
    float frequencies[16], magnitude;
    ck_assert_int_eq(full->type, PP_ROPE_PROPORTIONAL);
    ck_assert_int_eq(full->rotary_dim, 32);
    ppi_rope_frequencies(full, 0, frequencies, &magnitude);
    ck_assert_float_eq(magnitude, 1);
    for (int i = 0; i < 16; i++) {
        double expected = i < 4 ? pow(1e6, -2.0 * i / 32) : 0;
        ck_assert_double_eq_tol((double)frequencies[i], expected, 1e-7);
    }
    ck_assert_int_eq(sliding->type, PP_ROPE_DEFAULT);
    ck_assert_int_eq(sliding->rotary_dim, 16);
    ck_assert_double_eq(sliding->theta, 1e4);
    done();
}
END_TEST

START_TEST(reads_rope_parameters_of_each_type)
{
    const struct ppi_model_spec *spec =
        parse(SMALL ",'num_hidden_layers':2,'head_dim':16,'global_head_dim':32,'rope_parameters':{"
                    "'full_attention':{'rope_type':'proportional','rope_theta':100.0,'factor':4.0},"
                    "'sliding_attention':{'rope_type':'linear','factor':2.0,'rope_theta':50.0}}}");
    float frequencies[16], magnitude;
    ck_assert_int_eq(spec->ropes[0].n_turning, 16); /* an omitted share is all */
    ppi_rope_frequencies(&spec->ropes[0], 0, frequencies, &magnitude);
    ck_assert_double_eq_tol((double)frequencies[8], 0.1 / 4, 1e-7);
    ck_assert_int_eq(spec->ropes[1].type, PP_ROPE_LINEAR);
    ck_assert_double_eq(spec->ropes[1].factor, 2);
    done();
}
END_TEST

/* ---- the block ---- */

START_TEST(reads_the_block)
{
    const struct ppi_model_spec *spec =
        parse("{'architectures':['Gemma4ForConditionalGeneration'],'text_config':{'hidden_size':64,"
              "'num_hidden_layers':2,'use_bidirectional_attention':'vision',"
              "'final_logit_softcapping':30.0,'hidden_size_per_layer_input':8}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_GEMMA4);
    ck_assert_float_eq(spec->softmax_scale, 1);
    ck_assert_double_eq(spec->embed_scale, 8);
    ck_assert_float_eq(spec->logit_softcap, 30);
    ck_assert(spec->v_norm && spec->layer_scale && spec->tie_embeddings);
    ck_assert_int_eq(spec->layer_input_size, 8);
    ck_assert_int_eq(spec->layer_input_vocab, 262144);
    ck_assert_int_eq(spec->experts.n, 0);
    done();
    spec = parse("{'model_type':'gemma4_unified','text_config':{'hidden_size':64}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_GEMMA4_UNIFIED);
    ck_assert_int_eq(spec->layer_input_size, 0);
    ck_assert_int_eq(spec->layers[0].window, 1024);
    done();
}
END_TEST

START_TEST(reads_experts)
{
    const struct ppi_model_spec *spec =
        parse(SMALL ",'num_hidden_layers':2,'enable_moe_block':true,'num_experts':8,"
                    "'top_k_experts':3,'moe_intermediate_size':32}");
    const struct ppi_experts_spec *experts = &spec->experts;
    ck_assert(experts->n == 8 && experts->top_k == 3 && experts->intermediate_size == 32);
    ck_assert_int_eq(experts->scoring, PPI_SCORING_SOFTMAX);
    ck_assert(experts->normalize && experts->own_norms);
    ck_assert_float_eq(experts->router_scale, 0.125f);
    ck_assert(spec->layers[0].has_experts && spec->layers[0].mlp_size == 9216);
    done();
    spec = parse(SMALL ",'num_experts':8}"); /* not enabled */
    ck_assert(spec->experts.n == 0 && !spec->layers[0].has_experts);
    done();
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    const char *text;
    pp_status status;
    const char *sentence; /* of it */
} REFUSED[] = {
    {SMALL ",'use_bidirectional_attention':'all'}", PP_ERR_UNSUPPORTED,
     "\"use_bidirectional_attention\" is \"all\""},
    {SMALL ",'num_hidden_layers':6,'num_kv_shared_layers':6}", PP_ERR_LIMIT,
     "\"num_kv_shared_layers\" is 6; at most 5"},
    {SMALL ",'num_hidden_layers':6,'num_kv_shared_layers':3}", PP_ERR_FORMAT,
     "one of each type that has its own"},
    {SMALL ",'num_hidden_layers':6,'per_layer_config':{'6':{}}}", PP_ERR_FORMAT,
     "numbers of layers"},
    {SMALL ",'num_hidden_layers':6,'per_layer_config':{'full_attention':{}}}", PP_ERR_FORMAT,
     "numbers of layers"},
    {SMALL ",'per_layer_config':{'0':{'skip':['mlp']}}}", PP_ERR_UNSUPPORTED,
     "\"head_dim\" and \"num_key_value_heads\" are supported"},
    {SMALL ",'per_layer_config':{'0':4}}", PP_ERR_FORMAT, "an object is needed for each layer"},
    {SMALL ",'num_hidden_layers':3,'layer_types':['sliding_attention','full_attention',"
           "'full_attention'],'num_kv_shared_layers':1,'per_layer_config':{'1':{'head_dim':64}}}",
     PP_ERR_FORMAT, "layer 2 (window 0, 4 key/value heads of 256) is to see the keys of layer 1"},
    {SMALL ",'num_hidden_layers':6,'per_layer_config':{'0':{'head_dim':2},'1':{'head_dim':4},"
           "'2':{'head_dim':6},'3':{'head_dim':8}}}",
     PP_ERR_UNSUPPORTED, "more than 4 different windows, or shapes of heads"},
    {SMALL ",'global_head_dim':514}", PP_ERR_LIMIT, "\"global_head_dim\" is 514; at most 512"},
    {SMALL ",'final_logit_softcapping':1e-300}", PP_ERR_FORMAT,
     "\"final_logit_softcapping\" is 1e-300; an f32 above 0"},
    {SMALL ",'global_head_dim':null}", PP_ERR_FORMAT, "\"global_head_dim\" is null"},
    {SMALL ",'global_head_dim':31}", PP_ERR_FORMAT, "head_dim is 31; it must be even"},
    {SMALL ",'attention_k_eq_v':true,'num_global_key_value_heads':3}", PP_ERR_FORMAT,
     "8 attention heads are not a multiple of 3"},
    {SMALL ",'attention_k_eq_v':true,'attention_bias':true}", PP_ERR_UNSUPPORTED,
     "with attention_k_eq_v false is supported"},
    {SMALL ",'vocab_size_per_layer_input':128}", PP_ERR_UNSUPPORTED, "fewer than the 256"},
    {SMALL ",'enable_moe_block':true,'top_k_experts':2,'moe_intermediate_size':32}", PP_ERR_FORMAT,
     "\"num_experts\" is missing"},
    {SMALL ",'enable_moe_block':true,'num_experts':4,'top_k_experts':5,'moe_intermediate_size':32}",
     PP_ERR_LIMIT, "\"top_k_experts\" is 5; at most 4"},
    {SMALL ",'rope_parameters':{'full_attention':{'rope_type':'proportional'}}}", PP_ERR_FORMAT,
     "\"sliding_attention\" is missing"},
    {SMALL ",'rope_parameters':{'full_attention':{'rope_type':'proportional',"
           "'partial_rotary_factor':1.5},'sliding_attention':{'rope_type':'default'}}}",
     PP_ERR_FORMAT, "at most 1"},
    {SMALL ",'rope_scaling':{'rope_type':'linear','factor':2.0}}", PP_ERR_UNSUPPORTED,
     "rope_parameters of each type"},
    {"{'model_type':'gemma3_text','rope_parameters':{'full_attention':{'rope_type':'proportional'}}"
     "}",
     PP_ERR_UNSUPPORTED, "\"rope_type\" is \"proportional\""},
    {"{'model_type':'llama','per_layer_config':{'0':{'head_dim':8}}}", PP_ERR_UNSUPPORTED,
     "layers that differ in shape are not supported"},
};

START_TEST(refuses)
{
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(read(REFUSED[_i].text, &err), REFUSED[_i].status);
    ck_assert_msg(strstr(err.message, REFUSED[_i].sentence) != NULL, "%s", err.message);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_gemma4");
    TCase *tcase = tcase_create("config_gemma4");
    tcase_add_loop_test(tcase, reads_shapes_of_layers, 0, (int)PPI_COUNT(LAYERS));
    tcase_add_test(tcase, finds_the_last_writer);
    tcase_add_test(tcase, rotates_a_share_of_whole_heads);
    tcase_add_test(tcase, reads_rope_parameters_of_each_type);
    tcase_add_test(tcase, reads_the_block);
    tcase_add_test(tcase, reads_experts);
    tcase_add_loop_test(tcase, refuses, 0, (int)PPI_COUNT(REFUSED));
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
