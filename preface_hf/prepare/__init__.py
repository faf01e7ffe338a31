"""From a folder of videos or images to a prepared set."""
