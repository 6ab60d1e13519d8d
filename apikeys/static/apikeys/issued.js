// The page that shows a new key once: its copy buttons, and an address that is safe to reload.
"use strict";

{
  const page = document.querySelector(".issued-key");
  const status = document.getElementById("copy-status");

  // A reload would send the form again and issue a second key; from here on it opens the key's own page.
  history.replaceState(null, "", page.dataset.keyUrl);

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const copy = async (element) => {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      // There is no clipboard on plain HTTP away from localhost: the older way needs a selection.
      select(element);
      return document.execCommand("copy");
    }
  };

  for (const button of page.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    const source = document.getElementById(button.dataset.copy);
    button.addEventListener("click", async () => {
      const copied = await copy(source);
      if (!copied) select(source);
      button.textContent = copied ? "Copied" : "Press Ctrl+C";
      status.textContent = copied ? "Copied to the clipboard." : "Selected: copy it with the keyboard.";
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}
