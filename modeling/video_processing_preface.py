"""From a video file, array or tensor to `pixel_values_videos`, without torchvision."""

import numpy as np
import torch
from transformers import BatchFeature
from transformers.processing_utils import VideosKwargs
from transformers.utils import logging
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoMetadata, make_batched_videos

from .video_inputs_preface import clip_indices, find_sources, frames_at_rate, read_video
from .video_pixels_preface import FLAGS, center_crop, channel_axis, check_settings, resize


logger = logging.get_logger(__name__)
SETTINGS = ("size", "crop_size", "image_mean", "image_std", "rescale_factor", "num_frames", "sampling_rate")


class PrefAceVideoProcessorKwargs(VideosKwargs, total=False):  # type: ignore[call-arg]
    """Adds to transformers' video options: `sampling_rate` (`int`): take every n-th frame of the video."""

    sampling_rate: int | None


class PrefAceVideoProcessor(BaseVideoProcessor):
    r"""
    Makes clips for the PrefAce models.

    Calling it with a video returns `pixel_values_videos` of shape `(batch_size, num_frames, 3, height, width)`. A
    video is a path (`str` or `Path`), the bytes of a file, the `video` value of a prepared row
    (`{"bytes": ..., "path": ...}`), a list of paths of pictures (its frames in order), a
    `(frames, height, width, 3)` uint8 array or a `(frames, 3, height, width)` tensor; a list of videos is a batch.

    The clip is `num_frames` frames from the middle of the video: every `sampling_rate`-th frame, or `fps` frames a
    second where that is given. A video too short for that is sampled evenly from its first frame to its last,
    which repeats frames where it has fewer than `num_frames`. The shorter edge is
    resized (antialiased) to `size`, the middle is cropped, values are scaled to [0, 1] and normalized.

    It does not look for faces: give it face crops, or let `preface-hf prepare` / `preface-hf extract` make them.
    """

    valid_kwargs = PrefAceVideoProcessorKwargs
    model_input_names = ["pixel_values_videos"]
    resample = 2  # bilinear, antialiased
    size = {"shortest_edge": 224}
    crop_size = {"height": 224, "width": 224}
    default_to_square = False
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_sample_frames = True
    # Of ImageNet, for values in [0, 1].
    image_mean = [0.485, 0.456, 0.406]
    image_std = [0.229, 0.224, 0.225]
    num_frames = 16
    sampling_rate = 2

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # A file of settings that was damaged, or written by hand, is refused when it is opened.
        check_settings({name: getattr(self, name, None) for name in (*FLAGS, *SETTINGS)})

    def sample_frames(
        self,
        metadata: VideoMetadata,
        num_frames: int | None = None,
        sampling_rate: int | None = None,
        fps: float | None = None,
        **kwargs,
    ) -> np.ndarray:
        """Indices of the frames to take, `(num_frames,)`, for a video of `metadata.total_num_frames` frames."""
        count, rate = num_frames or self.num_frames, sampling_rate or self.sampling_rate
        total = metadata.total_num_frames
        if not total:
            raise ValueError("a video has no frames: give at least one.")
        if fps is not None:
            chosen = frames_at_rate(metadata, count, fps)
            if chosen is not None:
                return chosen
        if total < count:
            logger.warning_once(
                f"a video of {total} frames is shorter than a clip of {count}: its frames are repeated."
            )
        # A video too short at that many frames a second is sampled as evenly as one too short at `sampling_rate`.
        chosen = clip_indices(total, count, rate if fps is None else max(rate, total))
        return (total - 1 - chosen[-1]) // 2 + chosen

    def _decode_and_sample_videos(self, videos, video_metadata=None, do_sample_frames=None, sample_indices_fn=None):
        """The frames of each video, `(frames, height, width, channels)` or channels first, and their metadata."""
        sources = find_sources(videos)
        if sources is not None:
            read = [read_video(source, sample_indices_fn) for source in sources]
            return [frames for frames, _ in read], [metadata for _, metadata in read]
        # Arrays and tensors: a shape that no layout fits is refused with the number of the video.
        videos = make_batched_videos(videos)
        for number, video in enumerate(videos):
            if hasattr(video, "shape"):
                channel_axis(video.shape, None, number)
        return super()._decode_and_sample_videos(videos, video_metadata, do_sample_frames, sample_indices_fn)

    def _prepare_input_videos(self, videos, do_convert_rgb=None, input_data_format=None, device=None):
        """Each video, in its own layout, as a tensor `(frames, channels, height, width)`."""
        # transformers finds the axis of the channels on the first video, and takes it for all: here each is looked at.
        prepared = []
        for number, video in enumerate(videos):
            video = torch.as_tensor(video)
            if channel_axis(video.shape, input_data_format, number) == 3:
                video = video.permute(0, 3, 1, 2).contiguous()
            video = self.convert_to_rgb(video) if do_convert_rgb else video
            prepared.append(video if device is None else video.to(device))
        return prepared

    def convert_to_rgb(self, video: torch.Tensor) -> torch.Tensor:
        """Gray (1 channel) is repeated, alpha (4th channel) is dropped: `(frames, 3, height, width)`."""
        return video.expand(-1, 3, -1, -1) if video.shape[1] == 1 else video[:, :3]

    def _preprocess(
        self,
        videos,
        do_resize,
        size,
        do_center_crop,
        crop_size,
        do_rescale,
        rescale_factor,
        do_normalize,
        image_mean,
        image_std,
        return_tensors=None,
        **kwargs,
    ) -> BatchFeature:
        check_settings({"size": size, "crop_size": crop_size, "image_mean": image_mean, "image_std": image_std})
        # One by one: the videos of a batch may differ in size until they are cropped.
        clips = []
        for number, video in enumerate(videos):
            check_values(video, number, do_rescale)
            clip = resize(video, size) if do_resize else video
            clip = center_crop(clip, crop_size["height"], crop_size["width"]) if do_center_crop else clip
            clip = clip.float() * rescale_factor if do_rescale else clip.float()
            if do_normalize:
                mean, std = (
                    torch.tensor(values, device=clip.device)[:, None, None] for values in (image_mean, image_std)
                )
                clip = (clip - mean) / std
            clips.append(clip)
        return BatchFeature({"pixel_values_videos": clips}, tensor_type=return_tensors)


def check_values(video: torch.Tensor, number: int, do_rescale: bool) -> None:
    """`ValueError` for NaN or infinity; a warning for values that seem to be in [0, 1] and are scaled down again."""
    if not video.is_floating_point() or not video.numel():
        return
    if not video.isfinite().all():
        frame = int((~video.isfinite()).flatten(1).any(dim=1).nonzero()[0])
        raise ValueError(f"video {number} holds NaN or infinity, first in frame {frame}: look at how it was made.")
    if do_rescale and video.max() <= 1:
        logger.warning_once(
            "a video of floats in [0, 1] is divided by 255: if its values are scaled already, pass do_rescale=False."
        )


__all__ = ["PrefAceVideoProcessor"]
