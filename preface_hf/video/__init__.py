"""From a video file to frames and back."""
