"""Make `examples/tokenizer.json`: a small byte-level BPE for the demo's training, from the texts of built datasets.

The released vocabulary has 151,643 ranks; on a CPU its output layer would be nearly all of the work. The pattern is the
same, every digit a token of its own; the special tokens are added when the tokenizer is built.

    python examples/train_tokenizer.py out/demo out/demo_ground out/demo_ocr out/demo_text
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from qvl.model.text.tokenizer import PATTERN
from qvl.pipeline.markup.markers import MARKER
from qvl.pipeline.shards.reader import open_dataset, read_index
from qvl.pipeline.shards.sample import decode_sample
from qvl.pipeline.shards.sample_bytes import ShardBytes

HERE = Path(__file__).parent


def texts(folders: list[str]) -> Iterator[str]:
    """The texts of all samples, without markup."""
    reader = ShardBytes()
    for folder in folders:
        for shard in open_dataset(folder).shards:
            index = read_index(shard.index, ["key", "json_offset", "json_size"])
            for key, offset, size in zip(*(column.to_pylist() for column in index.columns), strict=True):
                for turn in decode_sample(reader.read(shard.tar, offset, size), shard.tar, key).turns:
                    yield MARKER.sub(" ", turn.text)


def train(folders: list[str], size: int) -> Tokenizer:
    """A tokenizer with `size` tokens, the 256 bytes among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False)
    tokenizer.train_from_iterator(texts(folders), trainer)
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--output", type=Path, default=HERE / "tokenizer.json")
    arguments = parser.parse_args()
    train(arguments.folders, arguments.size).save(str(arguments.output), pretty=False)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
