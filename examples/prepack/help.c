/* help.c: the help of the program and of its commands. */
#include "options.h"

static const char general_help[] =
    "prepack: packs prompts, prefills them without padding, and shows what that saves\n"
    "\n"
    "usage: prepack COMMAND [OPTION]...\n"
    "\n"
    "  prepack profile    time, memory and utilisation of prepacking and of padded batches\n"
    "  prepack generate   continue prompts: packed prefill, then batched decoding\n"
    "  prepack plan       pack lengths into bins: figures and a picture, no model\n"
    "  prepack bench      the operations of a forward pass against what the device can do\n"
    "  prepack tune       what a forward pass costs on this machine, for plan --predict\n"
    "\n"
    "  prepack help COMMAND    the options of a command (also: prepack COMMAND --help)\n"
    "  prepack --version       the version\n"
    "\n"
    "A first look, on the bundled model and prompts:\n"
    "  prepack profile\n"
    "  prepack generate --model demo -p 'The capital of Germany is' --compare\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong command line, 130 interrupted (Ctrl-C).\n"
    "PREPACK_DATA names the folder that holds lengths/ and demo-model/ when they are not where\n"
    "the program looks: ../share/prepack beside the program's folder, then the source tree.\n";

#define DATASET_HELP                                                                               \
    "  --dataset D          mmlu, wikitext256, wikitext512, rlhf, alpaca, samsum: lists of "       \
    "token\n"                                                                                      \
    "                       counts; demo: the bundled prompts; or a file: one prompt a line,\n"    \
    "                       .jsonl or .csv with --field, .lengths with one token count a line\n"   \
    "  --field NAME         the field of a .jsonl or column of a .csv that holds the prompt\n"     \
    "                       (default: prompt)\n"

#define POLICY_HELP                                                                                \
    "  --policy P           ffd: first-fit decreasing (default); bfd: best-fit decreasing;\n"      \
    "                       arrival: next fit, keeps the order of the prompts; first-fit and\n"    \
    "                       best-fit: in order of arrival; exact: search until proven "            \
    "optimal;\n"                                                                                   \
    "                       auto: ffd, then as exact for a short time\n"
#define CAPACITY_HELP                                                                              \
    "  --capacity N         tokens of a bin (default: the longest prompt of what is packed)\n"

#define DEVICE_HELP                                                                                \
    "  --threads N          CPU threads (default: every processor this process may use)\n"         \
    "  --dtype T            of products and KV caches: auto (default), bf16, f32 (cpu only), "     \
    "f16\n"                                                                                        \
    "                       (cuda only)\n"                                                         \
    "  --device D           cpu (default); cpu:ref, cpu:avx2, cpu:avx512, cpu:avx512bf16 force "   \
    "a\n"                                                                                          \
    "                       set of kernels; cuda or cuda:N: an NVIDIA GPU, the first or number "   \
    "N;\n"                                                                                         \
    "                       cuda:own or cuda:N:own: without cuBLASLt; cuda:mma or cuda:N:mma:\n"   \
    "                       attention by mma.sync on every GPU\n"                                  \
    "  --memory-limit SIZE  of the device's memory that a session may hold (weights, "             \
    "workspace,\n"                                                                                 \
    "                       KV pages), as 6GB or 512MiB (default: nine tenths of what is free)\n"

#define JSON_HELP                                                                                  \
    "  --json FILE          write the figures as JSON too; '-': to standard output, and the\n"     \
    "                       table to standard error\n"

static const char profile_help[] =
    "usage: prepack profile [--model M] [--dataset D] [OPTION]...\n"
    "\n"
    "Runs the prompts of a data set in batches, with several methods, and prints for each the\n"
    "average time, CPU utilisation and peak memory, with their standard deviations over the runs.\n"
    "\n"
    "  --model M            a model directory, 'demo', or a shape with random weights: tiny,\n"
    "                       llama1b, llama2-7b, llama2-13b, mistral-7b (default: the demo model\n"
    "                       when the data set is demo)\n" DATASET_HELP
    "                       (default data set: demo). Token counts are run with random tokens.\n"
    "  --batch-size N       prompts of a batch (default 64)\n"
    "  --num-runs N         repeats of the whole set (default 5)\n"
    "  --metric M           prefill (default): until every prompt's KV cache is there;\n"
    "                       ttft: until every prompt's first token is there as well\n"
    "  --methods LIST       of prepacking, full-batching, length-ordered, dataset-prepacking,\n"
    "                       with commas (default: the first three)\n"
    "  --per batch|prompt   what the time is an average over (default batch)\n"
    "  --max-batches N      run only N batches: the N times batch-size prompts for them are taken\n"
    "                       evenly over the sorted lengths, so that they stand for the whole set;\n"
    "                       every method works on exactly those\n"
    "  --max-length N       cut longer prompts to N tokens\n" POLICY_HELP CAPACITY_HELP DEVICE_HELP
    "  --dry-run            load no weights and run nothing: print the memory, passes and tokens\n"
    "                       that each method would need; with --memory-limit, fail (status 1) if\n"
    "                       they are more than it\n"
    "  --seed S             of the shuffle, the random tokens and weights (default 41)\n" JSON_HELP
    "\n"
    "The methods. The prompts are shuffled by the seed and cut in batches.\n"
    "  prepacking           each batch is packed into bins and prefilled without padding; the\n"
    "                       time of the packing is included\n"
    "  full-batching        each batch is padded on the right to its longest prompt, and padded\n"
    "                       tokens are computed, as engines that pad do, on the same kernels\n"
    "  length-ordered       the same prompts sorted by length first, then as full-batching\n"
    "  dataset-prepacking   all prompts are packed at once; bins are taken so many at a time that\n"
    "                       a step has about as many tokens as an average prepacked batch; the\n"
    "                       time of the packing is included, and times are per such step\n"
    "Times run from token ids in memory to KV caches (and first tokens); caches are freed outside\n"
    "the time. Each method has a session of its own and one untimed run on a few short prompts\n"
    "before its first. Utilisation is of the threads used, sampled every 20 ms. Memory is the\n"
    "peak resident set in units of 1,000,000 bytes, weights included. Standard deviations are\n"
    "over runs (of a sample, n - 1).\n"
    "With cuda, utilisation is that of the GPU and of its memory, as NVML says every 20 ms (its "
    "own\n"
    "figures are averages over up to a second), and is absent where NVML is; memory is the peak "
    "of\n"
    "the session's device memory, and 'MB in use' is what every process on the GPU holds.\n";

static const char generate_help[] =
    "usage: prepack generate --model DIR (-p TEXT... | --prompts FILE) [OPTION]...\n"
    "\n"
    "Continues prompts: each batch is packed and prefilled at once, then decoded together until\n"
    "each prompt reached the end-of-text token or its limit; finished prompts leave the batch.\n"
    "\n"
    "  --model DIR          a model directory with a SentencePiece tokenizer.model, or 'demo'\n"
    "  -p, --prompt TEXT    a prompt; may be repeated\n"
    "  --prompts FILE       one prompt a line, or .jsonl or .csv with --field; 'demo': the "
    "bundled\n"
    "                       prompts. A field 'answer' is compared with the text up to its first\n"
    "                       full stop, and the right ones are counted\n"
    "  --field NAME         the field of a .jsonl or column of a .csv that holds the prompt\n"
    "                       (default: prompt)\n"
    "  --max-new-tokens N   most tokens to generate for each prompt (default 32)\n"
    "  --batch-size N       prompts that run together (default 64)\n"
    "  --compare            run every prompt alone as well, without packing or batching, print\n"
    "                       both side by side and fail (status 1) if any token differs\n"
    "  --show N             rows of that comparison (default 16); differing ones always show\n"
    "  --temperature T      0: the most likely token (default); above: sample\n"
    "  --top-p P            sample from the most likely tokens that have P of the probability\n"
    "                       (default 1: all)\n"
    "  --seed S             of the sampling (default 41). Each prompt has its own stream of "
    "random\n"
    "                       numbers, so what is drawn does not depend on the batch\n" POLICY_HELP
        CAPACITY_HELP DEVICE_HELP
    "  --json FILE          write [{\"prompt\", \"text\", \"tokens\"}] too; '-': "
    "to standard output,\n"
    "                       and the rest to standard error\n";

static const char plan_help[] =
    "usage: prepack plan --dataset D [OPTION]...\n"
    "       prepack plan --load FILE [OPTION]...\n"
    "\n"
    "Packs the prompts of each batch into bins and prints the figures summed over the batches.\n"
    "Lists of token counts need no model.\n"
    "\n" DATASET_HELP
    "  --model DIR          the model whose tokenizer counts the tokens of text (default for the\n"
    "                       data set demo: the demo model)\n"
    "  --batch-size N       prompts of a batch (default 64); 0: all prompts at once\n"
    "  --max-batches N      only N batches: chosen as profile does where profile would shuffle,\n"
    "                       else the first of the file\n"
    "  --max-length N       cut longer prompts to N tokens\n"
    "  --seed S             shuffle as profile does with this seed. Without it, built-in data "
    "sets\n"
    "                       are shuffled with seed 41 and a file keeps its order\n"
    "\n"
    "What the bins shall be:\n"
    "  --objective O        fewest: as few bins as possible (default); balanced: --bins K bins, "
    "the\n"
    "                       dearest as cheap as possible; cheapest: rows of the lengths in "
    "--shapes,\n"
    "                       each computed in full, the cheapest in all\n" POLICY_HELP
    "                       (fewest)\n" CAPACITY_HELP
    "  --cost FILE          the cost model of a machine and a model, as 'prepack tune' wrote it:\n"
    "                       what a bin costs the planner (default: its tokens)\n"
    "  --bins K             how many bins are made (balanced)\n"
    "  --shapes LIST        lengths that a row may have, with commas (cheapest)\n"
    "  --max-prompts N      prompts of a bin, at most\n"
    "  --align N            a bin's tokens are rounded up to a multiple of N\n"
    "  --align-prompts N    each prompt's room is rounded up to a multiple of N\n"
    "  --oversize WHAT      prompts longer than a bin: error (default); own-bin: alone in a bin "
    "as\n"
    "                       large as they are; split: in chunks, in bins one after another\n"
    "  --keep-order         bins are runs of prompts in order of arrival\n"
    "  --share-prefixes     what prompts begin with alike is placed once; needs their text\n"
    "  --max-steps N        of the search of exact and auto; -1: no limit (default: what suits\n"
    "                       the policy)\n"
    "  --time-limit S       end the search after S seconds; such a plan may differ from run to "
    "run\n"
    "\n"
    "What comes of it:\n"
    "  --workers N          spread the bins of each batch over N workers, by cost, and say how "
    "even\n"
    "                       they are\n"
    "  --save FILE          write the plan as JSON (docs/plan-format.md); of one batch only\n"
    "  --load FILE          read and check such a plan in place of planning\n"
    "  --draw               draw the first batch: the rows of full batching with their padding, "
    "the\n"
    "                       bins below, both at one scale\n"
    "  --svg FILE           the same as a picture\n"
    "  --predict            say what prefilling these bins would take with --model (also a shape\n"
    "                       such as llama1b): time by --cost, memory, KV caches; no weight is\n"
    "                       loaded. With --memory-limit, fail (status 1) if it is too low. Only\n"
    "                       --predict looks at the following\n" DEVICE_HELP JSON_HELP;

static const char bench_help[] =
    "usage: prepack bench gemm|attention|rows|all [OPTION]...\n"
    "\n"
    "Runs the operations of a forward pass one by one on random data in the shapes of a model, "
    "and\n"
    "holds their times against what the device does at best in the same run: the rate of its\n"
    "fastest product, and of copying memory.\n"
    "\n"
    "  gemm                 the products with the weights of a layer and of the LM head\n"
    "  attention            over prompts that fill a pass, and of one new token for each prompt\n"
    "  rows                 what only moves data: embed, rmsnorm, rope_kv, gather, sample\n"
    "\n"
    "  --model M            a model directory, 'demo', or a shape with random weights: tiny,\n"
    "                       llama1b (default), llama2-7b, llama2-13b, mistral-7b\n"
    "  --rows LIST          numbers of rows for gemm and rows, with commas (default: 1 to what a\n"
    "                       pass holds)\n"
    "  --lengths LIST       tokens of a prompt for attention, with commas (default: 50 to what a\n"
    "                       pass holds, and 100-500). Each of\n"
    "                         N, constant:N  every prompt N tokens\n"
    "                         A-B            from A to B, equally likely\n"
    "                         uniform:N      from 1 to 2N - 1, equally likely\n"
    "                         longtail:N     half below 0.41 N, one of 100 above 9 N, none above "
    "64 N\n"
    "                                        or what fits (Lomax distribution of shape 2)\n"
    "                         bimodal:N      nine of ten N/2, one 11N/2\n"
    "                         FILE           one length a line, over and over; a name that begins\n"
    "                                        with a digit as ./NAME\n"
    "                       N is the mean, 200 where it is left out. All but N and A-B fill\n"
    "                       --tokens, the last prompt cut; the seed decides what is drawn\n"
    "  --tokens N           tokens of all prompts of attention together (default: what a pass\n"
    "                       holds); of decoding twice as many keys, at most 64 prompts\n"
    "  --heads Q[:KV]       query heads and kv heads (default of KV: Q) in place of the shape's\n"
    "  --head-dim N         the same for values of a head; with either, prompts may be of any "
    "length\n"
    "  --num-runs N         runs of which the median counts (default 9)\n" DEVICE_HELP
    "  --seed S             of random weights and of the lengths that are drawn (default "
    "41)\n" JSON_HELP "\n"
    "% of roof is the least time, by the product rate or by the copy rate, whichever is longer,\n"
    "divided by the time taken. The copy rate counts bytes read and bytes written. One run after\n"
    "the other uses other memory, so that caches help little where the shapes are large. Times of\n"
    "operations of a few microseconds are those of starting them. guard % is what it costs a\n"
    "product that its bits do not depend on the number of rows (cuda).\n"
    "Attention is measured twice. flushed: before each run, outside its time, memory as large as\n"
    "the last-level cache (L2 of a GPU; 32 to 256 MiB) is copied; warm: each run uses the memory\n"
    "of the one before, which may beat the copy rate. Where a GPU has attention kernels of its "
    "own\n"
    "(compute capability 9.0: wgmma), those of every GPU (mma.sync, --device cuda:mma) stand\n"
    "beside them.\n";

static const char tune_help[] =
    "usage: prepack tune --model M [OPTION]...\n"
    "\n"
    "Measures what a forward pass of a model costs on this machine, as\n"
    "  per_pass + per_token x tokens + per_square x squared lengths + per_prompt x prompts\n"
    "by running passes of many sizes and mixes of lengths, and prints the coefficients and how "
    "far\n"
    "they are off passes that they were not fitted to. With the file that --json writes, 'prepack\n"
    "plan' says how long a run will take before it begins. The faster ones of several runs count:\n"
    "what else the machine does meanwhile makes the model worse.\n"
    "\n"
    "  --model M            a model directory, 'demo', or a shape with random weights: tiny,\n"
    "                       llama1b, llama2-7b, llama2-13b, mistral-7b\n"
    "  --seconds S          about how long to measure (default 10); more time, larger passes\n"
    "  --max-tokens N       most tokens of a pass (default: the library's choice)\n"
    "  --max-length N       most tokens of a prompt (default: what a pass and the model "
    "hold)\n" DEVICE_HELP "  --seed S             of random weights, lengths and tokens (default "
    "41)\n"
    "  --json FILE          write the cost model; '-': to standard output, and the rest to\n"
    "                       standard error\n";

const char *help_text(int command)
{
    switch (command) {
    case COMMAND_PROFILE:
        return profile_help;
    case COMMAND_GENERATE:
        return generate_help;
    case COMMAND_PLAN:
        return plan_help;
    case COMMAND_BENCH:
        return bench_help;
    case COMMAND_TUNE:
        return tune_help;
    default:
        return general_help;
    }
}
