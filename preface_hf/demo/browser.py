"""What the browser gets beside the answer: words, colors, and a look at the size of a file."""

from __future__ import annotations

from preface_hf.demo.viewing import MAX_SECONDS


MAX_MB = 100
INTRODUCTION = f"""# What a face video model sees
Drop a video of a face, or record one. You see the face and its regions, where the model looks, what it says over time,
and similar clips. At most {MAX_SECONDS} seconds, 1080p, {MAX_MB} MB.

**Not for identifying people, for surveillance, or for judging anyone**: not their honesty, health, character or
fitness for anything. Show only people who agree. Your video stays on the machine that runs this page, and is deleted
soon after the answer.
"""
# What a page shows is in its own light colors: pictures have a white ground.
STYLE = """
.answer { background: #ffffff; color: #1d2126; padding: 4px 16px 16px; border-radius: 8px; font-size: 15px; }
.answer h2 { font-size: 19px; margin: 26px 0 6px; color: #1d2126; font-weight: 600; }
.answer p { margin: 6px 0; max-width: 82ch; color: #1d2126; }
.answer .note, .answer .warn { background: #fff4e0; color: #6b3a00; padding: 8px 12px; border-radius: 8px; }
.answer figure { margin: 8px 0; } .answer figcaption, .answer b { font-size: 14px; color: #1d2126; }
.answer img { display: block; } .answer .tiles { display: flex; flex-wrap: wrap; gap: 6px; }
.answer .tiles > img { border-radius: 4px; } .answer .tiles figure { margin: 0 8px 0 0; }
.answer .wide { overflow-x: auto; } .answer .wide img { max-width: none; height: 272px; }
.answer .chart img { width: 100%; max-width: 820px; height: auto; }
.answer .legend { display: flex; flex-wrap: wrap; gap: 4px 16px; } .answer .legend span { color: #1d2126; }
@media (max-width: 600px) {
  .answer { padding: 0; } .answer .tiles > img { width: calc(50% - 3px); height: auto; }
  .answer .chart { overflow-x: auto; } .answer .chart img { min-width: 600px; }
  .answer .wide::before, .answer .chart::before { content: "swipe sideways →"; font-size: 13px; color: #5d6670; }
}
.answer .legend i { display: inline-block; width: 12px; height: 12px; margin-right: 6px; border: 1px solid #555; }
/* A recording has no length to tell; gradio's scissors may fetch a program from elsewhere. */
#video .time, #video button[aria-label^="Trim"], #video button[aria-label^="Reset"] { display: none; }
#video:has(.mirror-wrap) .source-selection { display: none; }
#large { background: #fff4e0; color: #6b3a00; padding: 8px 12px; border-radius: 8px; max-width: 82ch; }
"""
# gradio tells of a large file by a word in the place of the video: it is looked at first, before any of it travels.
CHECK_SIZE = """() => {
  const check = (event) => {
    const files = event.type === "drop" ? event.dataTransfer?.files : event.target.files;
    document.getElementById("large")?.remove();
    const large = Array.from(files || []).find((file) => file.size > LIMIT * 2 ** 20);
    if (!large) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (event.type === "change") event.target.value = "";
    const said = Object.assign(document.createElement("p"), {id: "large", role: "alert"});
    said.textContent = `This file has ${Math.ceil(large.size / 2 ** 20)} MB, and LIMIT are the most: cut it, or use `
      + "“preface-hf predict”.";
    document.getElementById("said").before(said);
  };
  for (const kind of ["change", "drop", "click"]) document.addEventListener(kind, check, true);
}""".replace("LIMIT", str(MAX_MB))
