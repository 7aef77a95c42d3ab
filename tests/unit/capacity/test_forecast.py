"""The arithmetic of a forecast, by hand: lines through two samples, what they say of a plan, and of several workers."""

import pytest

from models.errors import RefusedInputError
from workers.capacity.counts import Counts
from workers.capacity.forecast import Before, cpu_seconds, stage_seconds, with_workers
from workers.capacity.process import age_s, peak_bytes, processor_s
from workers.capacity.profile import Entry, Profile, read_profile, write_profile
from workers.capacity.rates import Line, Rates, Sample, fit_line, fit_rates


def counted(
    tiles: int, batches: tuple[int, ...], apart: tuple[int, ...], computed_px: int, upper_shards: int
) -> Counts:
    return Counts(tiles, batches, computed_px, 10**6, upper_shards, apart_batches=apart, lips_bytes=0)


FEW = counted(10, (10,), (10,), computed_px=1000, upper_shards=2)
MANY = counted(40, (20, 20), (20, 22), computed_px=3000, upper_shards=6)
ALL = counted(90, (30, 20, 40), (30, 22, 44), computed_px=9000, upper_shards=10)


def sampled() -> Rates:
    """Stream 2 + 0.5 a batch, measure 1 + 0.001 a px, pyramid 0.25 a shard, pictures 3 whatever the area."""
    few_s = {"stream": 7.0, "measure": 2.0, "pyramid": 0.5, "pictures": 2.5}
    many_s = {"stream": 22.0, "measure": 4.0, "pyramid": 1.5, "pictures": 3.5}

    def halved(seconds: dict[str, float]) -> dict[str, float]:
        return {name: value / 2 if name == "stream" else value for name, value in seconds.items()}

    few = Sample(FEW, halved(few_s), few_s, 1500, 40)
    many = Sample(MANY, halved(many_s), many_s, 2500, 60)
    return fit_rates(few, many, memory_bytes=77)


def test_lines_lead_through_both_samples():
    rates = sampled()
    assert rates.cpu_s["stream"] == Line(fixed=2.0, each=0.5, unit="batches")
    assert rates.cpu_s["measure"].each == pytest.approx(0.001)
    assert rates.cpu_s["pyramid"] == Line(fixed=0.0, each=0.25, unit="upper_shards")
    assert rates.cpu_s["pictures"] == Line(fixed=3.0, each=0.0, unit="computed_px")
    assert rates.result_bytes.at(ALL) == pytest.approx(1000 + 0.5 * 9000 + 60)
    assert rates.wall_per_cpu == pytest.approx({"stream": 0.5, "measure": 1, "pyramid": 1, "pictures": 1})
    assert (rates.memory_bytes, rates.sampled_tiles) == (77, 50)


@pytest.mark.parametrize(
    ("few", "many", "fixed", "each"),
    [
        ((2, 3.0), (6, 5.0), 2.0, 0.5),
        ((2, 5.0), (6, 3.0), 3.0, 0.0),  # the larger one was cheaper: noise
        ((2, 1.0), (6, 9.0), 0.0, 1.5),  # steeper than the larger point itself
        ((6, 5.0), (6, 6.0), 0.0, 1.0),  # both samples were all there is
        ((0, 1.0), (0, 2.0), 0.0, 0.0),
    ],
)
def test_no_part_of_a_line_is_negative(few, many, fixed, each):
    assert fit_line(few, many, "batches") == Line(fixed=fixed, each=each, unit="batches")


def test_a_forecast_adds_up_what_was_and_what_will_be():
    before, rates = Before(wall_s={"process": 1.0, "quality": 4.0}, cpu_s=6.0), sampled()
    wanted = {"process": 1, "quality": 4, "stream": (2 + 0.5 * 90) / 2, "measure": 10, "pyramid": 2.5, "pictures": 3}
    assert stage_seconds(before, rates, ALL) == pytest.approx(wanted)
    assert cpu_seconds(before, rates, ALL) == pytest.approx(
        {"before": 6, "stream": 47, "measure": 10, "pyramid": 2.5, "pictures": 3}
    )


def test_workers_share_the_bands_and_nothing_else():
    before, rates = Before(wall_s={"process": 5.0}, cpu_s=6.0), sampled()
    stages = stage_seconds(before, rates, ALL)
    one, two = (with_workers(stages, rates, ALL, n) for n in (1, 2))
    assert one.total_s == pytest.approx(sum(stages.values()))
    assert one.speed_up == pytest.approx(1)
    # Bands of 30, 22 and 44 batches, apart: the second worker is free first and takes the last one.
    assert two.bands_s == pytest.approx((2 + 0.5 * 66) / 2)
    assert two.total_s == pytest.approx(one.total_s - 23.5 + 17.5)


def entry(frame_px: int, package: str = "a") -> Entry:
    return Entry(
        key={"package": package},
        measured="now",
        load_average=0.5,
        rates=sampled().model_copy(update={"frame_px": frame_px}),
    )


def test_a_profile_holds_for_slides_of_about_that_size(tmp_path):
    path = tmp_path / "deep" / "profile.json"
    assert read_profile(path) == Profile()
    profile = Profile().with_entry(entry(100)).with_entry(entry(10_000)).with_entry(entry(90, "b"))
    write_profile(path, profile)
    assert read_profile(path) == profile
    assert profile.find({"package": "a"}, 150).rates.frame_px == 100
    assert profile.find({"package": "a"}, 2_500).rates.frame_px == 10_000
    assert profile.find({"package": "a"}, 2_499) is None
    assert profile.find({"package": "c"}, 100) is None
    assert len(profile.with_entry(entry(200)).entries) == 3


def test_a_file_that_is_no_profile_is_refused(tmp_path):
    path = tmp_path / "profile.json"
    for text in ("{", '{"entries": 3}', "[]"):
        path.write_text(text)
        with pytest.raises(RefusedInputError, match=r"profile\.json is no profile"):
            read_profile(path)


def test_the_process_knows_its_age_and_its_peak():
    first = (age_s(), processor_s())
    block = bytearray(8 << 20)
    block[::4096] = b"1" * len(block[::4096])
    assert peak_bytes() > len(block)
    assert age_s() >= first[0] > 0
    assert processor_s() >= first[1] > 0
