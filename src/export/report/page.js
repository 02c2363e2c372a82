"use strict";
// Everything recorded is put on the page as text (textContent), never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const make = (tag, cls, text) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined) e.textContent = text;
    return e;
  };

  // ---- numbers: as the screen of lmptop writes them ----
  const steps = (n, base, letters) => {
    let i = -1;
    while (Math.abs(n) >= (i < 0 && base === 1024 ? 1024 : 999.5) && i < letters.length - 1) { n /= base; i++; }
    return (Math.abs(n) < 9.95 && (i >= 0 || n % 1) ? n.toFixed(1) : Math.round(n)) + (i < 0 ? "" : letters[i]);
  };
  const time = (ns) => {
    for (const [size, name] of [[3600e9, "h"], [60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "us"]])
      if (ns >= size) { const v = ns / size; return v.toFixed(v < 10 ? 2 : v < 100 ? 1 : 0) + " " + name; }
    return Math.round(ns) + " ns";
  };
  const told = (n, unit) => {
    if (n === null) return "-";
    switch (unit) {
      case "percent": return n.toFixed(1) + "%";
      case "bytes": return steps(n, 1024, "KMGTPE");
      case "bytes_per_sec": return steps(n, 1024, "KMGTPE") + "/s";
      case "per_sec": return steps(n, 1000, "kMGTPE") + "/s";
      case "ns": return time(n);
      default: return n % 1 ? n.toFixed(2) : steps(n, 1000, "kMGTPE");
    }
  };
  const clock = (ms) => new Date(ms + data.zone).toISOString().slice(11, 19);

  // ---- pictures over time: one pointer for all ----
  const charts = [...document.querySelectorAll(".chart")].map((el, i) => ({ el, numbers: data.charts[i] }));
  const pointAt = (step) => {
    for (const { el, numbers } of charts) {
      const cursor = el.querySelector(".cursor"), out = el.querySelector("output");
      const count = numbers.lines[0][1].length;
      el.classList.toggle("live", step !== null);
      if (step === null) { cursor.setAttribute("d", ""); out.textContent = ""; continue; }
      cursor.setAttribute("d", `M${step + 0.5} 0V100`);
      const at = data.from + (data.to - data.from) * (step + 0.5) / count;
      const values = numbers.lines.filter((l) => l[1].some((v) => v !== null)).map(([name, mean, most]) => {
        const peak = most[step] > mean[step] ? ` (max ${told(most[step], numbers.unit)})` : "";
        return `${name} ${told(mean[step], numbers.unit)}${peak}`;
      });
      const none = numbers.lines.every((l) => l[1][step] === null);
      out.textContent = clock(at) + "  " + (none ? "no sample" : values.join(", "));
    }
  };
  let step = null;
  for (const { el, numbers } of charts) {
    const count = numbers.lines[0][1].length, plot = el.querySelector(".plot");
    plot.addEventListener("pointermove", (e) => {
      const box = plot.getBoundingClientRect();
      step = Math.min(count - 1, Math.max(0, Math.floor((e.clientX - box.left) / box.width * count)));
      pointAt(step);
    });
    plot.addEventListener("pointerleave", () => pointAt(step = null));
    el.addEventListener("blur", () => pointAt(step = null));
    el.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -count, End: count }[e.key];
      if (by === undefined) return;
      e.preventDefault();
      step = Math.min(count - 1, Math.max(0, (step === null ? 0 : step) + by));
      pointAt(step);
    });
  }

  // ---- tables: sorted by a click on a head, filtered by words ----
  const sort = (section, column, order) => {
    const heads = [...section.querySelectorAll("th")];
    const at = typeof column === "number" ? column : heads.findIndex((h) => h.dataset.id === column);
    if (at < 0) return;
    const number = heads[at].classList.contains("n");
    const now = heads[at].getAttribute("aria-sort");
    order = order || (now === "none" ? (number ? "descending" : "ascending") : now === "descending" ? "ascending" : "descending");
    heads.forEach((h, i) => h.setAttribute("aria-sort", i === at ? order : "none"));
    const sign = order === "descending" ? -1 : 1, body = section.querySelector("tbody");
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[at];
      return { row, text: cell.textContent, value: cell.dataset.v === undefined ? null : Number(cell.dataset.v) };
    });
    rows.sort((a, b) => {
      if (!number) return sign * (a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
      // What is missing comes last, whichever way.
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
      return sign * (a.value - b.value);
    });
    body.append(...rows.map((r) => r.row));
  };
  const filter = (section, text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean), rows = [...section.querySelectorAll("tbody tr")];
    let shown = 0;
    for (const row of rows) {
      // Cells are told apart, so that no word is found across two of them.
      const all = [...row.cells].map((c) => c.textContent).join("\n").toLowerCase();
      row.hidden = !words.every((w) => all.includes(w));
      shown += !row.hidden;
    }
    section.querySelector(".count").textContent = words.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
  };
  for (const section of document.querySelectorAll("section.grid")) {
    section.querySelectorAll("th button").forEach((b, i) => b.addEventListener("click", () => sort(section, i)));
    section.querySelector("input").addEventListener("input", (e) => filter(section, e.target.value));
  }

  // ---- flame graphs ----
  const CLASSES = ["kernel", "library", "application", "jit", "inlined", "unknown", "thread"];
  const ROW = 18, THIN = 0.0006;
  const flames = {};
  for (const tree of data.flames) {
    const section = document.getElementById("f-" + tree.id), stage = section.querySelector(".stage");
    const out = section.querySelector(".flame > output"), found = section.querySelector(".found");
    // Frame 0 is everything; the others come in the order of a walk, so the depth tells the parent.
    const nodes = [{ name: "all", depth: 0, cls: 6, value: tree.total, parent: -1, start: 0, kids: [] }];
    const open = [0];
    for (const [name, depth, cls, value] of tree.frames) {
      const parent = open[depth], at = nodes.length;
      const kids = nodes[parent].kids, last = nodes[kids[kids.length - 1]];
      const start = last ? last.start + last.value : nodes[parent].start;
      nodes.push({ name: tree.names[name], depth: depth + 1, cls, value, parent, start, kids: [] });
      kids.push(at);
      open[depth + 1] = at;
    }
    const total = nodes[0].value || 1;
    let zoomed = 0, at = 0, needle = "";
    const line = (i) => {
      const n = nodes[i], own = n.value - n.kids.reduce((s, k) => s + nodes[k].value, 0);
      return `${n.name}: ${told(n.value, tree.unit)}, ${(100 * n.value / total).toFixed(2)}% of all` +
        (i ? `, itself ${told(own, tree.unit)}, ${CLASSES[n.cls]}` : "");
    };
    const select = (i, scroll) => {
      at = i;
      stage.querySelectorAll(".at").forEach((e) => e.classList.remove("at"));
      const el = stage.querySelector(`[data-n="${i}"]`);
      if (el) { el.classList.add("at"); if (scroll) el.scrollIntoView({ block: "nearest" }); }
      out.textContent = line(i);
    };
    const hash = (s) => { let h = 7; for (let i = 0; i < s.length; i++) h = (h * 31 + s.charCodeAt(i)) | 0; return h; };
    const draw = () => {
      const root = nodes[zoomed], chain = new Set();
      for (let i = zoomed; i >= 0; i = nodes[i].parent) chain.add(i);
      const todo = [0], drawn = [];
      let deepest = 0, hits = 0;
      while (todo.length) {
        const i = todo.pop(), n = nodes[i], above = i !== zoomed && chain.has(i);
        const left = above ? 0 : (n.start - root.start) / (root.value || 1);
        const width = above ? 1 : n.value / (root.value || 1);
        if (width < THIN) continue;
        const el = make("div", `f k${n.cls}` + (hash(n.name) & 1 ? " odd" : "") + (above ? " up" : "") + (width < 0.01 ? " thin" : ""), width < 0.01 ? "" : n.name);
        el.style.left = 100 * left + "%";
        el.style.width = 100 * width + "%";
        el.style.top = n.depth * ROW + "px";
        el.dataset.n = i;
        if (needle && n.name.toLowerCase().includes(needle)) el.classList.add("hit");
        drawn.push(el);
        deepest = Math.max(deepest, n.depth);
        for (const k of n.kids) if (!above || chain.has(k)) todo.push(k);
      }
      stage.replaceChildren(...drawn);
      stage.style.height = Math.min(640, (deepest + 1) * ROW + 2) + "px";
      if (needle) {
        // A frame inside another one that is found is part of it already.
        let sum = 0;
        const inside = [];
        nodes.forEach((n, i) => {
          const hit = n.name.toLowerCase().includes(needle);
          inside[i] = hit || (n.parent >= 0 && inside[n.parent]);
          if (hit) { hits++; if (n.parent < 0 || !inside[n.parent]) sum += n.value; }
        });
        found.textContent = `${hits} frames, ${told(sum, tree.unit)}, ${(100 * sum / total).toFixed(1)}%`;
      } else found.textContent = "";
      section.dataset.zoom = root.name;
      select(at);
    };
    const zoom = (i) => { zoomed = i; at = i; draw(); };
    stage.addEventListener("click", (e) => { const f = e.target.closest(".f"); if (f) zoom(Number(f.dataset.n)); });
    stage.addEventListener("pointermove", (e) => { const f = e.target.closest(".f"); if (f) out.textContent = line(Number(f.dataset.n)); });
    stage.addEventListener("pointerleave", () => { out.textContent = line(at); });
    stage.addEventListener("keydown", (e) => {
      const n = nodes[at], beside = n.parent < 0 ? [] : nodes[n.parent].kids, place = beside.indexOf(at);
      const largest = n.kids.length ? n.kids.reduce((a, b) => (nodes[b].value > nodes[a].value ? b : a)) : undefined;
      const to = { ArrowDown: largest, ArrowUp: n.parent < 0 ? undefined : n.parent, ArrowLeft: beside[place - 1], ArrowRight: beside[place + 1] };
      if (e.key in to) { if (to[e.key] !== undefined) select(to[e.key], true); }
      else if (e.key === "Enter" || e.key === " ") zoom(at);
      else if (e.key === "Escape" || e.key === "Home") zoom(0);
      else return;
      e.preventDefault();
    });
    const search = (text) => { needle = text.trim().toLowerCase(); draw(); };
    section.querySelector("input").addEventListener("input", (e) => search(e.target.value));
    section.querySelector(".reset").addEventListener("click", () => zoom(0));
    const legend = make("span", "keys"), used = new Set(tree.frames.map((f) => f[2]));
    CLASSES.forEach((word, i) => {
      if (!used.has(i)) return;
      const key = make("span", "", word);
      key.prepend(make("i", "k" + i));
      legend.append(key);
    });
    section.querySelector(".tools").append(legend);
    flames[tree.id] = {
      search,
      zoom: (name) => {
        // The largest frame of that name.
        let best = -1;
        nodes.forEach((n, i) => { if (n.name === name && (best < 0 || n.value > nodes[best].value)) best = i; });
        if (best >= 0) zoom(best);
      },
    };
    draw();
  }

  // ---- links into the page: #sort=proc,rss_bytes&filter=proc,nginx&zoom=oncpu,main&find=oncpu,read ----
  const follow = () => {
    let seen = null;
    for (const part of location.hash.slice(1).split("&")) {
      const [key, rest] = part.split(/=(.*)/s);
      if (rest === undefined) continue;
      let words;
      try { words = decodeURIComponent(rest).split(/,(.*)/s); } catch { continue; }
      const [id, value = ""] = words;
      const grid = [...document.querySelectorAll("section.grid")].find((s) => s.dataset.table === id);
      const flame = Object.hasOwn(flames, id) ? flames[id] : null;
      if (key === "sort" && grid) { sort(grid, value.replace(/^-/, ""), value.startsWith("-") ? "descending" : "ascending"); seen = grid; }
      else if (key === "filter" && grid) { grid.querySelector("input").value = value; filter(grid, value); seen = grid; }
      else if (key === "zoom" && flame) { flame.zoom(value); seen = document.getElementById("f-" + id); }
      else if (key === "find" && flame) { flame.search(value); seen = document.getElementById("f-" + id); seen.querySelector("input").value = value; }
    }
    if (seen) seen.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  follow();
  document.documentElement.dataset.ready = "yes";
})();
