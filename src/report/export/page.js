(() => {
  const box = document.getElementById("filter");
  const field = document.getElementById("filter-words");
  const said = document.getElementById("filter-said");
  const rows = [...document.querySelectorAll("tr[data-name]")];
  const parts = [...document.querySelectorAll("[data-part]")];
  const matrix = rows.filter((row) => row.closest(".matrix"));
  const shows = (part) => part.querySelector("tr[data-name]:not([hidden])");
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const name = row.dataset.name.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
    }
    for (const part of parts) part.hidden = words.length > 0 && !shows(part);
    for (const link of document.querySelectorAll("nav a[href^='#group-']")) {
      const part = document.getElementById(link.hash.slice(1));
      link.parentElement.hidden = Boolean(part && part.hidden);
    }
    const left = matrix.filter((row) => !row.hidden).length;
    said.textContent = words.length ? `${left} of ${matrix.length} situations` : "";
  };
  box.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", apply);
  box.hidden = matrix.length === 0;
  apply();
})();
