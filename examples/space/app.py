"""The page of `preface-hf demo --page` as a Space: MODEL names the checkpoint, INDEX a prepared set in the Space."""

import os

from preface_hf.demo.browser import MAX_MB, STYLE
from preface_hf.demo.page import build_page
from preface_hf.demo.viewing import Viewer


page = build_page(Viewer(os.environ["MODEL"], os.environ.get("INDEX")))
page.launch(ssr_mode=False, max_file_size=f"{MAX_MB}mb", css=STYLE, footer_links=[])
