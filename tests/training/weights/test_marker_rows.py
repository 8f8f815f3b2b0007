"""Marker rows: they train next to a frozen language model, and a folded model computes the same."""

from pathlib import Path

import torch

from qvl.model.text.tokenizer import token_id
from qvl.model.weights.auto import load_model, load_processor
from qvl.training.recipe import StageSpec
from qvl.training.weights.marker_rows import TOKENS, fold
from qvl.training.weights.training_model import prepare
from tests.training.data.test_schedule import MODES, make
from tests.training.made import stage
from tests.training.weights.models import batch_of, loss_of, plain


def test_marker_rows_train_beside_a_frozen_language_model_and_fold_exactly(
    start: Path, datasets: dict[str, Path], tmp_path: Path, tokenizer: object
) -> None:
    batch = batch_of(make(MODES["unpacked"], datasets, tmp_path, tokenizer))  # type: ignore[arg-type]
    ids = [token_id(load_processor(start).tokenizer, token) for token in TOKENS]
    spec = StageSpec.model_validate(stage(stage="pretrain", trained_markers=True))
    model = prepare(load_model(start), spec, ids)
    assert model.markers is not None
    loss, _ = model(batch.ids, batch.labels, batch.positions, batch.pixels)
    loss.backward()
    assert model.markers.marker_rows_in.grad is not None and model.markers.marker_rows_in.grad.any()
    assert model.net.get_input_embeddings().weight.grad is None
    with torch.no_grad():
        model.markers.marker_rows_in.normal_(std=0.3)
    changed = loss_of(model, batch)
    weights = {name.removeprefix("net."): tensor for name, tensor in model.state_dict().items()}
    folded = plain(start, fold(weights, ids))
    assert torch.allclose(loss_of(folded, batch), changed, atol=1e-5)
    moved = (folded.net.get_input_embeddings().weight != load_model(start).get_input_embeddings().weight).any(dim=1)
    assert set(torch.nonzero(moved).flatten().tolist()) == set(ids)
