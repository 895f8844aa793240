// A button on every block of code that copies it, without prompts and what they printed.
"use strict";

const copied = (text) => {
  const lines = text.replace(/\n$/, "").split("\n");
  const prompt = lines.some((line) => /^(\$|>>>) /.test(line));
  if (!prompt) return lines.join("\n");
  let more = false;
  return lines
    .filter((line) => {
      const kept = /^(\$|>>>|\.\.\.)( |$)/.test(line) || more;
      more = kept && line.endsWith("\\");
      return kept;
    })
    .map((line) => line.replace(/^(\$|>>>|\.\.\.) ?/, ""))
    .join("\n");
};

document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("div.highlight")) {
    const code = block.querySelector("pre");
    if (!code || !navigator.clipboard) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(copied(code.textContent));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    block.append(button);
  }
});
