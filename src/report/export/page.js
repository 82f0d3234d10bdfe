(() => {
  const box = document.getElementById("filter");
  const field = document.getElementById("filter-words");
  const said = document.getElementById("filter-said");
  const rows = [...document.querySelectorAll("tr[data-name]")];
  const parts = [...document.querySelectorAll("[data-part]")];
  const folded = [...document.querySelectorAll("details.part")];
  // A link to a part opens it; paper shows all of them.
  const follow = () => {
    const target = document.getElementById(location.hash.slice(1));
    const part = target && target.closest("details.part");
    if (part && !part.open) {
      part.open = true;
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => event.target.closest("a[href^='#']") && setTimeout(follow));
  window.addEventListener("beforeprint", () => folded.forEach((part) => (part.open = true)));
  follow();
  const matrix = rows.filter((row) => row.closest(".matrix"));
  const shows = (part) => part.querySelector("tr[data-name]:not([hidden])");
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const name = row.dataset.name.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
    }
    for (const part of parts) part.hidden = words.length > 0 && !shows(part);
    for (const part of folded) {
      if (words.length && shows(part)) part.open = true;
    }
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

// The link below a figure holds its data; a slider and the pointer read values from it.
(() => {
  const places = {
    linear: ([x]) => x,
    bins: ([from, below]) => Math.log10(Math.sqrt(from * below)),
    nines: ([percent]) => -Math.log10(1 - percent / 100),
  };
  const field = (text) => text.replace(/^"|"$/g, "").replaceAll('""', '"');
  const number = (text) => Number(text).toLocaleString("en", { maximumFractionDigits: 6 });
  for (const figure of document.querySelectorAll("figure[data-scale]")) {
    const data = figure.querySelector("a.data").getAttribute("href");
    const [head, ...rows] = decodeURIComponent(data.slice(data.indexOf(",") + 1)).trimEnd().split("\n");
    const names = head.match(/"(?:[^"]|"")*"|[^,]+/g).map((text) => {
      const [, name, unit] = field(text).match(/^(.*?)(?: \(([^()]*)\))?$/);
      return { name, unit: unit ? ` ${unit}` : "" };
    });
    const keys = figure.dataset.scale === "bins" ? 2 : 1;
    const values = rows.map((row) => row.split(","));
    const at = values.map((row) => places[figure.dataset.scale](row.slice(0, keys).map(Number)));
    const slider = figure.querySelector(".reader input");
    const said = figure.querySelector(".reader output");
    const show = () => {
      const text = values[slider.value].map((value, n) => value && `${names[n].name} ${number(value)}${names[n].unit}`);
      const where = text.slice(0, keys).join(" ");
      slider.setAttribute("aria-valuetext", where);
      const parts = [where, ...text.slice(keys).filter(Boolean)];
      said.replaceChildren(...parts.map((part) => Object.assign(document.createElement("span"), { textContent: part })));
      for (const draw of cursors) draw(at[slider.value]);
    };
    const cursors = [...figure.querySelectorAll("svg")].map((svg) => {
      const [left, right, low, high, top, bottom] = svg.dataset.plot.split(" ").map(Number);
      const cursor = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
      cursor.setAttribute("class", "cursor");
      const read = (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
        const place = low + ((x - left) / (right - left)) * (high - low);
        const far = at.map((row) => Math.abs(row - place));
        slider.value = far.indexOf(Math.min(...far));
        show();
      };
      svg.addEventListener("pointermove", read);
      svg.addEventListener("pointerdown", read);
      return (place) => {
        const x = left + ((place - low) / (high - low)) * (right - left);
        cursor.setAttribute("d", `M${x} ${top}V${bottom}`);
      };
    });
    slider.addEventListener("input", show);
    figure.querySelector(".reader").hidden = values.length === 0;
  }
})();
