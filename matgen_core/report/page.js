// Draws the figures in the colours of the moment, and makes the table sort and search.
const { figures, templates } = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

async function draw() {
  document.documentElement.classList.toggle("dark", dark.matches); // for DataTables
  for (const place of document.querySelectorAll("[data-figure]")) {
    const template = structuredClone(templates[dark.matches ? "dark" : "light"]);
    template.layout.paper_bgcolor = "rgba(0,0,0,0)";
    template.layout.margin.t = 10;
    const { data, layout } = structuredClone(figures[place.dataset.figure]);
    Plotly.react(place, data, { ...layout, template }, { responsive: true, displaylogo: false });
    await new Promise((resolve) => setTimeout(resolve)); // the page stays usable meanwhile
  }
}

const table = document.getElementById("candidates");
if (table) {
  const code = atob(document.getElementById("datatables").textContent);
  const bytes = Uint8Array.from(code, (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  const { default: DataTable } = await import(url);
  URL.revokeObjectURL(url);
  // What is not known comes last, whichever way the column is sorted.
  const known = (sign) => (a, b) =>
    a === "" || b === "" ? (a === "") - (b === "") : sign * (Number(a) - Number(b));
  DataTable.type("known-first", { order: { asc: known(1), desc: known(-1) } });
  new DataTable(table, {
    order: [],
    lengthMenu: [10, 25, 100, { label: "all", value: -1 }],
    columnDefs: [{ targets: "number", type: "known-first", className: "dt-right" }],
    language: { search: "Search", lengthMenu: "_MENU_ rows a page" },
  });
}

dark.addEventListener("change", draw);
await draw();
