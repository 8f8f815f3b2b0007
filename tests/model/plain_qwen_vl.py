"""A second, plain implementation of Qwen-VL: float64, loops, the released tensor names, nothing shared with `model/`.

Written from the reference text only. Tensors are torch's so that gradients come for free; every operation beyond
products, sums, exp and erf is spelled out here.
"""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-6) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + eps) * weight + bias


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def softmax(x: Tensor) -> Tensor:
    e = torch.exp(x - x.max(-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75, the one of torch's bicubic interpolation."""
    a, d = -0.75, abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    if d < 2:
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return 0.0


def resize_matrix(old: int, new: int) -> Tensor:
    """[new, old] weights of one axis: pixel centres at i + 1/2, edges repeated."""
    matrix = torch.zeros(new, old, dtype=torch.float64)
    for i in range(new):
        centre = (i + 0.5) * old / new - 0.5
        for j in range(math.floor(centre) - 1, math.floor(centre) + 3):
            matrix[i, min(max(j, 0), old - 1)] += cubic(centre - j)
    return matrix


def resize_table(table: Tensor, new: int) -> Tensor:
    old = math.isqrt(len(table))
    if old == new:
        return table
    weights, rows = resize_matrix(old, new).tolist(), []
    near = [[(j, weight) for j, weight in enumerate(row) if weight] for row in weights]
    for i in range(new):
        for j in range(new):
            total = torch.zeros(table.shape[1], dtype=torch.float64)
            for a, down in near[i]:
                for b, across in near[j]:
                    total = total + down * across * table[a * old + b]
            rows.append(total)
    return torch.stack(rows)


def sincos_table(side: int, width: int) -> Tensor:
    """Element by element: first half of the channels by column, second by row; each half sines then cosines."""
    table = torch.zeros(side * side, width, dtype=torch.float64)
    quarter = width // 4
    for row in range(side):
        for column in range(side):
            for half, place in enumerate((column, row)):
                for i in range(quarter):
                    angle = place / 10000 ** (i / quarter)
                    table[row * side + column, half * 2 * quarter + i] = math.sin(angle)
                    table[row * side + column, half * 2 * quarter + quarter + i] = math.cos(angle)
    return table


def vision(w: Weights, image: Tensor, heads: int, patch: int) -> Tensor:
    """One image [3, S, S] -> [patches, width]."""
    v = "transformer.visual."
    side = image.shape[-1] // patch
    kernel = w[v + "conv1.weight"].flatten(1)
    patches = []
    for row in range(side):
        for column in range(side):
            cut = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            patches.append(kernel @ cut.flatten())
    x = torch.stack(patches) + resize_table(w[v + "positional_embedding"], side)
    x = layer_norm(x, w[v + "ln_pre.weight"], w[v + "ln_pre.bias"])
    layer = 0
    while f"{v}transformer.resblocks.{layer}.ln_1.weight" in w:
        b = f"{v}transformer.resblocks.{layer}."
        y = layer_norm(x, w[b + "ln_1.weight"], w[b + "ln_1.bias"])
        mixed = y @ w[b + "attn.in_proj.weight"].T + w[b + "attn.in_proj.bias"]
        size = mixed.shape[1] // (3 * heads)
        outs = []
        for head in range(heads):
            q, k, value = mixed[:, head * 3 * size : (head + 1) * 3 * size].split(size, dim=1)
            outs.append(softmax(q @ k.T / math.sqrt(size)) @ value)
        x = x + torch.cat(outs, 1) @ w[b + "attn.out_proj.weight"].T + w[b + "attn.out_proj.bias"]
        y = layer_norm(x, w[b + "ln_2.weight"], w[b + "ln_2.bias"])
        y = gelu(y @ w[b + "mlp.c_fc.weight"].T + w[b + "mlp.c_fc.bias"])
        x = x + y @ w[b + "mlp.c_proj.weight"].T + w[b + "mlp.c_proj.bias"]
        layer += 1
    return x


def adapter(w: Weights, x: Tensor, heads: int) -> Tensor:
    """[patches, vision width] -> [queries, width], through ln_post and proj."""
    v, p = "transformer.visual.", "transformer.visual.attn_pool."
    kv = layer_norm(x @ w[p + "kv_proj.weight"].T, w[p + "ln_kv.weight"], w[p + "ln_kv.bias"])
    query = layer_norm(w[p + "query"], w[p + "ln_q.weight"], w[p + "ln_q.bias"])
    positions = w[p + "pos_embed"]
    width = kv.shape[1]
    wq, wk, wv = w[p + "attn.in_proj_weight"].split(width)
    bq, bk, bv = w[p + "attn.in_proj_bias"].split(width)
    q = (query + positions) @ wq.T + bq
    k = (kv + resize_table(positions, math.isqrt(len(x)))) @ wk.T + bk
    value = kv @ wv.T + bv
    size, outs = width // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        outs.append(softmax(q[:, part] @ k[:, part].T / math.sqrt(size)) @ value[:, part])
    out = torch.cat(outs, 1) @ w[p + "attn.out_proj.weight"].T + w[p + "attn.out_proj.bias"]
    return layer_norm(out, w[v + "ln_post.weight"], w[v + "ln_post.bias"]) @ w[v + "proj"]


def rotate(x: Tensor, base: float = 10000.0) -> Tensor:
    """Rotary positions on [length, size]: channel i turns with channel i + size/2."""
    length, size = x.shape
    half = size // 2
    angles = torch.tensor(
        [[t / base ** (2 * i / size) for i in range(half)] for t in range(length)], dtype=torch.float64
    )
    first, second = x[:, :half], x[:, half:]
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], 1)


def language(w: Weights, x: Tensor, heads: int) -> Tensor:
    """Embeddings [length, width] -> last hidden states, causal."""
    length = len(x)
    future = torch.full((length, length), -math.inf, dtype=torch.float64).triu(1)
    layer = 0
    while f"transformer.h.{layer}.ln_1.weight" in w:
        b = f"transformer.h.{layer}."
        y = rms_norm(x, w[b + "ln_1.weight"])
        q, k, value = (y @ w[b + "attn.c_attn.weight"].T + w[b + "attn.c_attn.bias"]).chunk(3, dim=1)
        size, outs = x.shape[1] // heads, []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = rotate(q[:, part]) @ rotate(k[:, part]).T / math.sqrt(size) + future
            outs.append(softmax(scores) @ value[:, part])
        x = x + torch.cat(outs, 1) @ w[b + "attn.c_proj.weight"].T
        y = rms_norm(x, w[b + "ln_2.weight"])
        up, gate = y @ w[b + "mlp.w1.weight"].T, y @ w[b + "mlp.w2.weight"].T
        x = x + (up * gate / (1 + torch.exp(-gate))) @ w[b + "mlp.c_proj.weight"].T
        layer += 1
    return rms_norm(x, w["transformer.ln_f.weight"])


def forward(w: Weights, ids: list[list[int]], images: list[Tensor], settings: dict) -> list[Tensor]:
    """Logits [length, vocabulary] of every row; images are taken in order by `<img>` ... `</img>` spans."""
    queue, logits = list(images), []
    for row in ids:
        x = torch.stack([w["transformer.wte.weight"][token] for token in row])
        for at, token in enumerate(row):
            if token == settings["image_start_id"]:
                end = row.index(settings["image_start_id"] + 1, at)
                patches = vision(w, queue.pop(0), settings["vision_heads"], settings["patch"])
                features = adapter(w, patches, settings["adapter_heads"])
                assert end - at - 1 == len(features)
                x = torch.cat([x[: at + 1], features, x[end:]])
        logits.append(language(w, x, settings["heads"]) @ w["lm_head.weight"].T)
    assert not queue
    return logits


def loss(logits: list[Tensor], labels: list[list[int]]) -> Tensor:
    """Mean over the micro-batch of -log p(next token) at labelled positions."""
    terms = []
    for row, wanted in zip(logits, labels, strict=True):
        for t in range(len(wanted) - 1):
            if wanted[t + 1] != -100:
                terms.append(-torch.log(softmax(row[t])[wanted[t + 1]]))
    return torch.stack(terms).mean()


def chatml_labels(turns: list[tuple[str, list[int]]], ids: dict[str, int], roles: dict[str, list[int]]) -> list[int]:
    """The released mask of already tokenised content: markers of every turn are supervised, content only in answers."""
    labels: list[int] = []
    for role, content in turns:
        labels.append(ids["start"])
        for _ in roles[role]:
            labels.append(-100)
        labels.append(-100)
        for token in content:
            labels.append(token if role == "assistant" else -100)
        labels.append(ids["end"])
        labels.append(ids["newline"])
    return labels
