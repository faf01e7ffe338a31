from preface_hf.training.guards import window_warning


def test_a_window_smaller_than_the_batch_is_said():
    assert "set it to 8192 or so" in window_warning(1024, 512, 10_000)
    assert window_warning(512, 512, 10_000) is None
    assert window_warning(1024, 512, 400) is None, "all rows are shuffled together"
