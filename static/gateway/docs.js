"use strict";

// Swagger UI has a dark theme, and leaves it to the page to ask for it.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const place = document.getElementById("docs");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  // A key is typed anew in each tab: one that is kept in the browser can be read there.
  persistAuthorization: false,
  // Otherwise the schema's address is sent to a public validator.
  validatorUrl: null,
});

// "Authorize" opens with the cursor in its first field: Swagger UI leaves the focus on the button behind it.
let open = false;
new MutationObserver(() => {
  const field = place.querySelector(".dialog-ux input");
  if (field && !open) field.focus();
  open = Boolean(field);
}).observe(place, { childList: true, subtree: true });
