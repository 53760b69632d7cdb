// Prefill continues, scores or embeds texts with a model: the prompts are packed, run in one call
// without padding, and each gets its own result.
//
//	prefill -model DIR generate "The capital of Germany is" "3 + 4 ="
//	prefill -model DIR score    "The capital of Germany is Berlin."
//	prefill -model DIR embed    < texts.txt
//
// Texts are the arguments, or the lines of standard input where there are none. Ctrl-C ends a run.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"prepack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "prefill:", err)
		os.Exit(1)
	}
}

// host is what every command needs.
type host struct {
	session   *prepack.Session
	tokenizer *prepack.Tokenizer
	packer    *prepack.Packer
}

func run(ctx context.Context) error {
	path := flag.String("model", "examples/demo-model", "model directory or GGUF file")
	device := flag.String("device", "", `"cpu" (the default), "cuda"`)
	capacity := flag.Int64("capacity", 2048, "tokens of a bin")
	maxNew := flag.Int("max-new-tokens", 16, "of each text, for generate")
	flag.Parse()
	commands := map[string]func(context.Context, *host, []string, [][]int32) error{
		"generate": func(ctx context.Context, h *host, texts []string, tokens [][]int32) error {
			return generate(ctx, h, texts, tokens, *maxNew)
		},
		"score": score,
		"embed": embed,
	}
	command, found := commands[flag.Arg(0)]
	if !found {
		return fmt.Errorf("%q is no command; there are generate, score and embed", flag.Arg(0))
	}
	texts, err := textsOf(flag.Args()[1:])
	if err != nil {
		return err
	}
	model, err := prepack.OpenModel(*path, nil)
	if err != nil {
		return err
	}
	defer model.Close()
	h := &host{}
	if h.session, err = prepack.NewSession(model, &prepack.SessionOptions{Device: *device}); err != nil {
		return err
	}
	defer h.session.Close()
	if h.tokenizer, err = prepack.OpenTokenizer(*path, nil); err != nil {
		return err
	}
	defer h.tokenizer.Close()
	h.packer, err = prepack.NewPacker(&prepack.PackerOptions{
		Capacity: *capacity, Policy: prepack.PolicyAuto, Oversize: prepack.OversizeOwnBin})
	if err != nil {
		return err
	}
	defer h.packer.Close()
	encoded, err := h.tokenizer.EncodeAll(texts, nil)
	if err != nil {
		return err
	}
	tokens := make([][]int32, len(encoded))
	for i := range encoded {
		tokens[i] = encoded[i].IDs
	}
	return command(ctx, h, texts, tokens)
}

func textsOf(arguments []string) ([]string, error) {
	if len(arguments) > 0 {
		return arguments, nil
	}
	var texts []string
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		texts = append(texts, lines.Text())
	}
	if len(texts) == 0 && lines.Err() == nil {
		return nil, errors.New("there are no texts: give them as arguments or lines of input")
	}
	return texts, lines.Err()
}

// runPacked plans the items and runs them.
func (h *host) runPacked(ctx context.Context, items []prepack.Item) error {
	lengths := make([]int64, len(items))
	for i := range items {
		lengths[i] = int64(len(items[i].Tokens))
	}
	plan, err := h.packer.Plan(lengths)
	if err != nil {
		return err
	}
	defer plan.Close()
	info, err := plan.Info()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d texts of %d tokens in %d bins\n", info.Prompts, info.Tokens, info.Bins)
	return h.session.Run(ctx, items, &prepack.RunOptions{Plan: plan})
}

// generate prefills all texts packed and then continues those that have not ended, a token each in
// a run.
func generate(ctx context.Context, h *host, texts []string, tokens [][]int32, maxNew int) error {
	ends := map[int32]bool{}
	for _, token := range h.session.Config().EOSTokens {
		ends[token] = true
	}
	items, owners := make([]prepack.Item, len(tokens)), make([]int, len(tokens))
	for i := range items {
		items[i] = prepack.Item{Tokens: tokens[i], Output: prepack.OutputToken}
		owners[i] = i
	}
	generated := make([][]int32, len(tokens))
	for n := 0; n < maxNew && len(items) > 0; n++ {
		var err error
		if n == 0 {
			err = h.runPacked(ctx, items)
		} else {
			err = h.session.Run(ctx, items, nil)
		}
		if err != nil {
			return err
		}
		going := 0
		for i := range items {
			if ends[items[i].Next] {
				items[i].Cache.Close() // at once: pages are large
				continue
			}
			generated[owners[i]] = append(generated[owners[i]], items[i].Next)
			items[i].Tokens = []int32{items[i].Next} // the cache has all that came before
			items[going], owners[going] = items[i], owners[i]
			going++
		}
		items, owners = items[:going], owners[:going]
	}
	for i := range items {
		items[i].Cache.Close()
	}
	for i := range texts {
		more, err := h.tokenizer.Decode(append(append([]int32{}, tokens[i]...), generated[i]...), false)
		if err != nil {
			return err
		}
		fmt.Println(more)
	}
	return nil
}

// score prints the log-probability of each text, given its first token.
func score(ctx context.Context, h *host, texts []string, tokens [][]int32) error {
	items := make([]prepack.Item, len(tokens))
	for i, ids := range tokens {
		if len(ids) < 2 {
			return fmt.Errorf("text %d (%q) has %d tokens; a score takes two", i, texts[i], len(ids))
		}
		last := len(ids) - 1
		items[i] = prepack.Item{Tokens: ids[:last], DiscardCache: true,
			Scores: make([]prepack.Score, last)}
		for t := range items[i].Scores {
			items[i].Scores[t] = prepack.Score{Token: int64(t), Target: ids[t+1]}
		}
	}
	if err := h.runPacked(ctx, items); err != nil {
		return err
	}
	for i := range items {
		sum := 0.0
		for _, s := range items[i].Scores {
			sum += s.LogProb
		}
		fmt.Printf("%9.4f  %d tokens  %s\n", sum, len(tokens[i]), texts[i])
	}
	return nil
}

// embed prints a JSON array of numbers for each text: the mean of the hidden states of its tokens,
// or what the model's files recommend.
func embed(ctx context.Context, h *host, texts []string, tokens [][]int32) error {
	pooling := prepack.PoolingMean
	if config := h.session.Config(); config.Pooling >= 0 {
		pooling = config.Pooling
	}
	items := make([]prepack.Item, len(tokens))
	for i := range items {
		items[i] = prepack.Item{Tokens: tokens[i], Output: prepack.OutputPooled, Pooling: pooling,
			Normalize: true, DiscardCache: true}
	}
	if err := h.runPacked(ctx, items); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for i := range items {
		if err := out.Encode(items[i].Hidden); err != nil {
			return err
		}
	}
	return nil
}
