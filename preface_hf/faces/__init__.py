"""From frames to faces: boxes, landmarks, tracks, crops."""
