"""A title that is no UTF-8 keeps no video from being read, whatever PyAV is installed."""

import av
import numpy as np

from preface_hf.video.decoding import open_video


def test_a_title_in_latin_1(tmp_path):
    file = tmp_path / "clip.mkv"
    with av.open(str(file), "w") as container:
        container.metadata["title"] = "Grün"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for shade in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * shade, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    written = file.read_bytes()
    file.write_bytes(written.replace("Grün".encode(), "Grüün".encode("latin-1")))
    assert file.read_bytes() != written
    assert len(list(open_video(file))) == 5
