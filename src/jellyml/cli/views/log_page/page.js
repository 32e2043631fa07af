"use strict";
// All text comes from checkpoints: it is only ever set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("shown");
let picked = [];

function make(name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function table(rows) {
  const element = make("table"), body = element.appendChild(make("tbody"));
  for (const cells of rows) {
    const row = body.appendChild(make("tr"));
    for (const [text, kind] of cells) row.appendChild(make("td", text, kind));
  }
  return element;
}

function pick(number) {
  picked = picked.includes(number) ? picked.filter(each => each !== number)
    : [...picked, number].slice(-2);
  for (const each of document.querySelectorAll("[data-i]"))
    each.classList.toggle("picked", picked.includes(Number(each.dataset.i)));
  show();
}

function show() {
  place.replaceChildren();
  // From the older to the newer, whichever was chosen first.
  const [one, other] = [...picked].sort((a, b) => a - b);
  for (const [name, number] of [["A", one], ["B", other]]) {
    if (number === undefined) continue;
    const chip = place.appendChild(make("span", undefined, "chip"));
    chip.append(make("b", name), data.checkpoints[number].path);
  }
  if (other === undefined) {
    place.append(make("p", one === undefined ? "Choose two checkpoints, in the graph or the table."
      : "Choose another one to compare it with.", "faint"));
    return;
  }
  const [a, b] = [data.checkpoints[one], data.checkpoints[other]];
  part("Environment", environment(a, b));
  part("Code", code(a, b));
  part("Weights", weights(one, other, a, b));
}

function part(title, nodes) {
  place.append(make("h3", title), ...nodes);
}

function absent(a, b, only) {
  const words = make("p", "Not in this page, which holds only the nearest. To see it: ", "faint");
  words.append(make("code", `jellyml diff ${a.quoted} ${b.quoted} --only ${only}`));
  return [words];
}

function environment(a, b) {
  const [left, right] = [a, b].map(each => data.environments[each.environment]);
  if (!left || !right) return [make("p", "Not recorded on both sides.", "faint")];
  const rows = [];
  // As maps: a section may have the name of a property that every object has.
  const [known, compared] = [left, right].map(each => new Map(Object.entries(each)));
  for (const section of [...compared.keys()].filter(name => known.has(name))) {
    const [before, after] = [known, compared].map(each => data.sections[each.get(section)]);
    if (before === after) continue;
    const names = new Set([...before, ...after].map(fact => fact[0]));
    const [was, is] = [before, after].map(facts => new Map(facts));
    for (const name of names) {
      const [x, y] = [was.get(name), is.get(name)];
      if (x === y) continue;
      rows.push([[section === "distributions" ? `package ${name}` : name],
        [x ?? "", "gone"], [y ?? "", "add"]]);
    }
  }
  return [rows.length ? table(rows) : make("p", "The same, as far as both record it.", "faint")];
}

function code(a, b) {
  if (a.commit === null || b.commit === null) return [make("p", "No commit is known.", "faint")];
  if (a.commit === b.commit) return [make("p", "The same commit.", "faint")];
  const found = data.code[`${a.commit} ${b.commit}`];
  if (!found) return absent(a, b, "code");
  if (found.problem) return [make("p", found.problem, "faint")];
  if (!found.files.length) return [make("p", "The same files.", "faint")];
  const patch = make("pre", undefined, "box");
  for (const line of found.patch.split("\n")) {
    const kind = /^(\+\+\+|---|diff |index |@@)/.test(line) ? "at"
      : line.startsWith("+") ? "add" : line.startsWith("-") ? "gone" : "";
    patch.append(make("span", line + "\n", kind));
  }
  const cut = found.cut ? [make("p", "Cut here: the rest is too long for this page.", "faint")] : [];
  return [table(found.files.map(file => [[file[0], "kind"], [file[1]]])), patch, ...cut];
}

function weights(one, other, a, b) {
  const found = data.weights[`${one} ${other}`];
  if (!found) return absent(a, b, "weights");
  if (found.problem) return [make("p", found.problem, "faint")];
  if (!found.changed.length) return [make("p", `The same: ${found.same} arrays, to the bit.`, "faint")];
  const layers = new Map(), columns = new Map();
  for (const each of found.changed) {
    if (!layers.has(each.layer)) layers.set(each.layer, new Map());
    layers.get(each.layer).set(each.name, each);
    columns.set(each.name, true);
  }
  const counts = make("p", `${found.changed.length + found.left} differ, ${found.same} the same.`, "faint");
  return [counts, heat(layers, [...columns.keys()]), key(), ...odd(found)];
}

// Changes span many orders of magnitude: a millionth of the norm is pale, all of it is full.
function strength(each) {
  const by = each.by ?? each.share;
  return by > 0 ? Math.max(0.1, Math.min(1, 1 + Math.log10(Math.min(1, by)) / 6)) : 0;
}

function heat(layers, names) {
  const element = make("table", undefined, "heat"), head = make("tr");
  head.append(make("th"), ...names.map(name => make("th", name)));
  element.appendChild(make("thead")).append(head);
  const body = element.appendChild(make("tbody"));
  for (const [layer, cells] of layers) {
    const row = body.appendChild(make("tr"));
    row.append(make("th", layer));
    for (const name of names) {
      const each = cells.get(name), cell = row.appendChild(make("td", undefined, each ? "" : "none"));
      if (!each) continue;
      cell.title = `${layer}.${name}: ${each.words}`;
      cell.appendChild(make("i")).style.opacity = strength(each);
    }
  }
  const wide = make("div", undefined, "wide");
  wide.append(element);
  return wide;
}

function key() {
  const element = make("div", undefined, "key");
  for (const by of [1e-6, 1e-4, 1e-2, 1]) {
    element.appendChild(make("i")).style.opacity = strength({ by });
    element.append(make("span", by >= 0.01 ? String(by) : by.toExponential(0)));
  }
  element.append(make("span", "norm of the change relative to the norm before; empty: unchanged, or missing"));
  return element;
}

function odd(found) {
  const others = found.changed.filter(each => each.kind !== "changed");
  const rows = others.map(each => [[each.kind, "kind"], [`${each.layer}.${each.name}`], [each.words]]);
  const more = found.left ? [make("p", `${found.left} more are not shown.`, "faint")] : [];
  return [...(rows.length ? [table(rows)] : []), ...more];
}

document.addEventListener("click", event => {
  const target = event.target.closest("[data-i]");
  if (target) pick(Number(target.dataset.i));
});
document.addEventListener("keydown", event => {
  if ((event.key === "Enter" || event.key === " ") && event.target.dataset.i) {
    event.preventDefault();
    pick(Number(event.target.dataset.i));
  }
});
document.getElementById("find").addEventListener("input", event => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll("#table tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  }
});
// page.html#3,7 chooses two at once.
const requested = location.hash.slice(1).split(",").map(Number);
for (const number of requested) if (location.hash && number in data.checkpoints) pick(number);
show();
