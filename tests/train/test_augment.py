"""Random changes to rows: what they do, how often, and that workers and resumes don't change them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small import small_job

from raykd.artifacts import EXAMPLES, RunDirectory
from raykd.config import AugmentConfig, DataConfig, TrainingConfig
from raykd.data.draws import splitmix
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.errors import InputError
from raykd.train.augment import Augmentation, drop_tokens, mix, move_images, swap_spans, transformed, uniform
from raykd.train.batches import batches_of, signature, trimmed
from raykd.train.job import TrainJob

ROWS = 4000
PAIR = [2, *range(10, 21), 3, *range(30, 37), 1, 3, 0, 0, 0]  # 11 tokens, 8 tokens, one of them unknown
TEXTS = np.tile(np.array(PAIR, np.int32), (ROWS, 1))
SPECIAL = np.isin(PAIR, (0, 2, 3))
TOKENS = InputSpec("tokens", length=len(PAIR), dtype="int32", vocabulary=50)


def _keys(rows: int, seed: int = 7) -> Any:
    return splitmix(np.uint64(seed), np.arange(rows, dtype=np.uint64))


def test_draws_are_the_upper_bits_of_the_keys_own_generator() -> None:
    keys, counter = _keys(5)[:, None], np.arange(6, dtype=np.uint64)
    expected = (splitmix(keys, counter) >> np.uint64(40)).astype(np.float32) / 2**24
    np.testing.assert_array_equal(uniform(tf.constant(keys), tf.constant(counter)), expected)


def test_tokens_become_unknown_at_the_rate_asked_for() -> None:
    dropped = drop_tokens(TEXTS, _keys(ROWS), 0.2).numpy()
    np.testing.assert_array_equal(dropped[:, SPECIAL], TEXTS[:, SPECIAL])
    words = dropped[:, ~SPECIAL & (TEXTS[0] != 1)]
    assert set(np.unique(words[words != TEXTS[:, ~SPECIAL & (TEXTS[0] != 1)]])) == {1}
    # 72,000 draws: the standard deviation of the rate is 0.0015; of one token's, 4,000 draws, 0.0063.
    assert (words == 1).mean() == pytest.approx(0.2, abs=0.006)
    np.testing.assert_allclose((words == 1).mean(axis=0), 0.2, atol=0.03)


def test_all_tokens_or_none_become_unknown_at_the_ends_of_the_scale() -> None:
    np.testing.assert_array_equal(drop_tokens(TEXTS, _keys(ROWS), 0.0), TEXTS)
    assert set(np.unique(drop_tokens(TEXTS, _keys(ROWS), 1.0).numpy()[:, ~SPECIAL])) == {1}


def test_two_neighbouring_spans_of_a_text_change_places() -> None:
    swapped = swap_spans(TEXTS, _keys(ROWS), 0.5).numpy()
    np.testing.assert_array_equal(swapped[:, SPECIAL], TEXTS[:, SPECIAL])
    for begin, end in ((1, 12), (13, 21)):
        text, original = swapped[:, begin:end], np.array(PAIR[begin:end])
        np.testing.assert_array_equal(np.sort(text, axis=1), np.tile(np.sort(original), (ROWS, 1)))
        changed = text[(text != original).any(axis=1)]
        assert len(changed) / ROWS == pytest.approx(0.5, abs=0.035)  # 4.4 standard deviations
        spans = [_span_swapped(row, original) for row in changed]
        assert np.bincount(spans, minlength=5)[1:] / len(spans) == pytest.approx([0.25] * 4, abs=0.04)


def _span_swapped(row: Any, original: Any) -> int:
    """The length of the spans whose exchange makes `row` of `original`."""
    begin, *_, last = np.flatnonzero(row != original)
    span = (last + 1 - begin) // 2
    expected = original.copy()
    expected[begin : begin + span], expected[begin + span : last + 1] = (
        original[begin + span : last + 1], original[begin : begin + span],
    )  # fmt: skip
    np.testing.assert_array_equal(row, expected)
    return int(span)


@pytest.mark.parametrize("row", [[2, 10, 3, 0, 0], [2, 3, 10, 3, 0], [2, 10, 3, 11, 3], [2, 3, 3, 0, 0]])
def test_texts_of_one_token_stay(row: list[int]) -> None:
    texts = np.tile(np.array(row, np.int32), (50, 1))
    np.testing.assert_array_equal(swap_spans(texts, _keys(50), 1.0), texts)


def test_texts_of_two_tokens_turn_round_each_for_itself() -> None:
    texts = np.tile(np.array([2, 10, 11, 3, 12, 13, 3, 0], np.int32), (3, 1))
    assert swap_spans(texts, _keys(3), 1.0).numpy().tolist() == [[2, 11, 10, 3, 13, 12, 3, 0]] * 3


def _rolled(image: Any, down: int, right: int) -> Any:
    """np.roll with 0 for what comes in from outside."""
    rolled = np.roll(image, (down, right), axis=(0, 1))
    rolled[: max(down, 0)] = 0
    rolled[len(image) + min(down, 0) :] = 0
    rolled[:, : max(right, 0)] = 0
    rolled[:, len(image) + min(right, 0) :] = 0
    return rolled


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shift_rolls_the_image_and_fills_with_0(dtype: Any) -> None:
    images = np.random.default_rng(0).integers(1, 256, (1000, 49)).astype(dtype)
    moved = move_images(images, _keys(1000), 2, 0.0)
    assert moved.dtype == dtype
    found = []
    for image, result in zip(images.reshape(-1, 7, 7), moved.numpy().reshape(-1, 7, 7), strict=True):
        [shift] = [(down, right) for down in range(-2, 3) for right in range(-2, 3)
                   if np.array_equal(_rolled(image, down, right), result)]  # fmt: skip
        found.append(shift)
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == 25
    np.testing.assert_allclose(counts, 40, atol=28)  # 4.5 standard deviations


def _turned(image: Any, degrees: float, down: int = 0, right: int = 0) -> Any:
    flat = image.reshape(1, -1)
    turned = transformed(
        flat, tf.constant([np.deg2rad(degrees)], tf.float32), tf.constant([down]), tf.constant([right])
    )
    return turned.numpy().reshape(image.shape)


@pytest.mark.parametrize("side", [6, 7])
def test_a_quarter_turn_is_that_of_numpy(side: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, side)).astype(np.uint8)
    np.testing.assert_array_equal(_turned(image, 90), np.rot90(image))
    np.testing.assert_array_equal(_turned(image, -90), np.rot90(image, -1))
    np.testing.assert_array_equal(_turned(image, 90, down=1, right=-2), _rolled(np.rot90(image), 1, -2))


def test_a_small_turn_reads_between_the_pixels() -> None:
    from scipy.ndimage import rotate

    y, x = np.mgrid[:16, :16] - 7.5
    image = np.exp(-((x - 2) ** 2 + y**2 / 4) / 2.5).astype(np.float32)  # Nothing near the edge.
    np.testing.assert_allclose(_turned(image, 20), rotate(image, 20, reshape=False, order=1), atol=0.02)


def test_angles_are_uniform_up_to_the_most() -> None:
    """Seen from a spot right of the centre: its height tells the sine of the angle."""
    image = np.zeros((41, 41), np.float32)
    image[20, 38] = 1.0
    moved = move_images(np.tile(image.ravel(), (2000, 1)), _keys(2000), 0, 30.0).numpy().reshape(-1, 41, 41)
    heights = 20 - (moved.sum(axis=2) @ np.arange(41)) / moved.sum(axis=(1, 2))
    degrees = np.rad2deg(np.arcsin(heights / 18))
    assert np.abs(degrees).max() < 31.5
    np.testing.assert_allclose(np.quantile(degrees, [0.1, 0.25, 0.5, 0.75, 0.9]), [-24, -15, 0, 15, 24], atol=2.5)


def _batch(streams: int, rows: int, real: int) -> dict[str, Any]:
    """Rows of two numbers, of which the first tells the row; the streams' parts hold `real` rows and padding."""
    count = streams * rows
    number = np.arange(count, dtype=np.float32)
    weight = np.tile(np.arange(rows) < real, streams).astype(np.float32)
    label = np.where(weight > 0, np.arange(count) % 10, -1).astype(np.int32)
    batch = {"inputs": np.stack([number, number**2], axis=1), "label": label, "weight": weight}
    return {name: tf.constant(values) for name, values in batch.items()}


def test_each_real_row_mixes_with_another_of_its_stream() -> None:
    batch = _batch(streams=3, rows=6, real=4)
    mixed = {name: values.numpy() for name, values in mix(batch, _keys(18), 0.4, 6).items()}
    own = batch["inputs"].numpy()
    partners = []
    for row, (values, share) in enumerate(zip(mixed["inputs"], mixed["share"], strict=True)):
        if batch["weight"][row] == 0:
            np.testing.assert_array_equal(values, own[row])
            continue
        partner = round((values[0] - share * own[row, 0]) / (1 - share))
        np.testing.assert_allclose(values, share * own[row] + (1 - share) * own[partner], rtol=1e-4)
        assert partner != row
        assert partner // 6 == row // 6
        assert partner % 6 < 4
        assert mixed["partner_label"][row] == partner % 10
        partners.append(partner)
    assert sorted(partners) == [row for row in range(18) if row % 6 < 4]  # each is the partner of one row
    np.testing.assert_array_equal(mixed["label"], batch["label"])


def test_a_row_alone_in_its_stream_stays() -> None:
    batch = _batch(streams=2, rows=4, real=1)
    np.testing.assert_array_equal(mix(batch, _keys(8), 1.0, 4)["inputs"], batch["inputs"])


@pytest.mark.parametrize("beta", [0.2, 1.0, 3.0])
def test_shares_are_drawn_from_the_beta_distribution(beta: float) -> None:
    from scipy.stats import beta as distribution
    from scipy.stats import kstest

    shares = mix(_batch(streams=1, rows=ROWS, real=ROWS), _keys(ROWS), beta, ROWS)["share"].numpy()
    assert kstest(shares.astype(np.float64), distribution(beta, beta).cdf).pvalue > 0.01


CHANGES = {
    "features": AugmentConfig(shift=1, rotate=20.0, mixup=0.5),
    "tokens": AugmentConfig(token_dropout=0.3, span_swap=0.7),
}


@pytest.fixture
def examples(run_directory: RunDirectory, request: pytest.FixtureRequest) -> Manifest:
    """Six uneven shards of 57 images of 9 pixels, or texts of 3 to 12 ids."""
    rng, shards = np.random.default_rng(0), []
    tokens = request.param == "tokens"
    inputs = InputSpec("tokens", 12, "int32", 90, 4) if tokens else InputSpec("features", 9, "uint8")
    for index, ids in enumerate(np.array_split(np.arange(57), 6)):
        rows: list[Any] = [rng.integers(0, 256, 9).astype(np.uint8) for _ in ids]
        if tokens:
            rows = [np.array([2, *rng.integers(4, 90, rng.integers(1, 11)), 3], np.int32) for _ in ids]
        columns = {"example_id": ids, "label": (ids % 2).astype(np.int32), "inputs": rows}
        write_table(run_directory, f"{EXAMPLES}/train/part-{index:05d}.parquet", columns)
        shards.append(Shard("train", index, len(ids), hash_ids(ids)))
    return Manifest(2, inputs, tuple(shards))


def _job(manifest: Manifest, **changes: Any) -> TrainJob:
    training = TrainingConfig(batch_size=12, augment=CHANGES[manifest.inputs.kind])
    job = small_job("a", training=training, data=DataConfig(streams=2, read_tasks=0))
    return replace(job, model=replace(job.model, inputs=manifest.inputs), **changes)


def _augmented(
    job: TrainJob, run: RunDirectory, manifest: Manifest, start: int, stop: int, rank: int = 0, workers: int = 1
) -> list[dict[str, Any]]:
    feed = job.feed(run, manifest, rank, workers)
    batches = batches_of(feed, signature(job, manifest, feed.rows), 2, start, stop)
    assert job.augmentation is not None
    changed = tf.function(lambda batch: job.augmentation(trimmed(batch)))  # type: ignore[misc]
    return [{name: values.numpy() for name, values in changed(batch).items()} for batch in batches]


@pytest.mark.parametrize("examples", CHANGES, indirect=True)
def test_two_workers_make_the_same_batches(run_directory: RunDirectory, examples: Manifest) -> None:
    job = _job(examples)
    whole = _augmented(job, run_directory, examples, 0, 12)
    parts = [_augmented(job, run_directory, examples, 0, 12, rank, workers=2) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert set(batch) == set(first)
        for name in batch:
            if name != "inputs" or examples.inputs.kind == "features":
                np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), batch[name])
                continue
            for rows, part in ((batch[name][:6], first[name]), (batch[name][6:], second[name])):
                # A worker's part may be narrower.
                np.testing.assert_array_equal(part, rows[:, : part.shape[1]])
                assert not rows[:, part.shape[1] :].any()


@pytest.mark.parametrize("examples", CHANGES, indirect=True)
def test_a_resumed_training_goes_on_with_the_same_batches(run_directory: RunDirectory, examples: Manifest) -> None:
    whole = _augmented(_job(examples), run_directory, examples, 0, 12)
    for batch, found in zip(whole[7:], _augmented(_job(examples), run_directory, examples, 7, 12), strict=True):
        for name in batch:
            np.testing.assert_array_equal(found[name], batch[name])


@pytest.mark.parametrize("examples", CHANGES, indirect=True)
def test_every_epoch_and_every_seed_changes_rows_anew(run_directory: RunDirectory, examples: Manifest) -> None:
    steps = _job(examples).order(examples).steps_per_epoch

    def keys(job: TrainJob) -> set[int]:
        windows = list(job.feed(run_directory, examples).windows(0, 2 * steps))
        real = [window["key"][window["weight"] > 0] for window in windows]
        return set(np.concatenate(real).tolist())

    first, other = keys(_job(examples)), keys(_job(examples, seed=5))
    assert len(first) == len(other) == 2 * 57
    assert not first & other


def test_labels_and_padding_stay(run_directory: RunDirectory) -> None:
    batch = {**_batch(2, 6, 4), "inputs": tf.constant(TEXTS[:12]), "key": tf.constant(_keys(12))}
    changed = Augmentation(CHANGES["tokens"], TOKENS, 6)(batch)
    assert set(changed) == {"inputs", "label", "weight"}
    np.testing.assert_array_equal(changed["label"], batch["label"])
    assert "key" in batch  # The caller's batch stays as it was.


@pytest.mark.parametrize("change", [{"shift": 1}, {"rotate": 5.0}])
def test_only_square_images_move(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="an example has 10 numbers"):
        Augmentation(AugmentConfig(**change), InputSpec("features", 10, "float32"), 4)
