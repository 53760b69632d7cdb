"""How rows of a mixture of experts are routed, and prompts that are routed clearly.

A row whose last chosen expert and the first that is not are all but equal goes one way in f32 and another in
bf16, and every row behind it with it. So prompts of mixtures are drawn token by token: the first of some candidates
that every layer routes by a margin.
"""

import torch

N_CANDIDATES = 16
MARGIN = 0.25  # of the spread of a row's scores, between the last chosen and the first that is not
LEAST = 0.1    # that the best candidate must have where none has so much


def routers(model):
    return [module for name, module in model.named_modules()
            if type(module).__name__.endswith(("TopKRouter", "TopkRouter", "TextRouter"))]


def choice_scores(router, given):
    """What a router chooses by [rows, experts]: monotonous in the logits, but where a correction is added."""
    scores = given[0].float()
    if type(router).__name__ == "Gemma4TextRouter":
        return scores.log()
    if hasattr(router, "e_score_correction_bias"):
        return scores.sigmoid() + router.e_score_correction_bias
    return scores


@torch.no_grad()
def choices(model, tokens):
    """Of each layer with experts: scores [batch, len, experts] and how many are chosen."""
    found, hooks = [], []

    def keep(router, _, given):
        top_k = getattr(router, "top_k", None) or router.config.top_k_experts
        scores = choice_scores(router, given)
        found.append((scores.view(*tokens.shape, -1), top_k))

    for router in routers(model):
        hooks.append(router.register_forward_hook(keep))
    model(tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    return found


def margins(scores, top_k):
    ordered = scores.sort(-1, descending=True).values
    if top_k == ordered.shape[-1]:
        return torch.full(ordered.shape[:-1], float("inf"))
    return (ordered[..., top_k - 1] - ordered[..., top_k]) / ordered.std(-1)


def draw_clear(model, length, generator):
    """Tokens of a prompt that every layer routes by a margin."""
    vocab = model.config.get_text_config().vocab_size
    tokens = torch.empty(0, dtype=torch.long)
    for _ in range(length):
        drawn = torch.randint(3, vocab, (N_CANDIDATES,), generator=generator)
        batch = torch.cat([tokens.expand(N_CANDIDATES, -1), drawn[:, None]], 1)
        least = torch.stack([margins(scores[:, -1], top_k) for scores, top_k in choices(model, batch)]).amin(0)
        best = int((least > MARGIN).float().argmax()) if (least > MARGIN).any() else int(least.argmax())
        assert least[best] > LEAST, "no candidate is routed clearly"
        tokens = batch[best]
    return tokens


def check_same_choices(model, other, tensors):
    """Both models send every row of the prompts through the same experts."""
    for i in range(8):
        if f"p{i}.tokens" not in tensors:
            return
        tokens = torch.cat([tensors[f"p{i}.tokens"], tensors[f"p{i}.next"]]).long()[None]
        for layer, ((a, top_k), (b, _)) in enumerate(zip(choices(model, tokens), choices(other, tokens))):
            differ = (a.topk(top_k).indices.sort(-1).values != b.topk(top_k).indices.sort(-1).values).any(-1)
            assert not differ.any(), (f"prompt {i}, layer {layer}: margins {margins(a, top_k)[differ]}, in bf16 "
                                      f"{margins(b, top_k)[differ]}")
