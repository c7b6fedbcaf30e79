// The page of a running command: shows what the server sends, and knows nothing of kinds of runs.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MAX_ROWS = 200;
  const LINE_POINTS = 60;
  const MAX_POINTS = 1800;
  const MAX_SAID = 200;
  const QUIET_S = 5;
  const AGAIN_MS = 5000;
  const get = (id) => document.getElementById(id);
  const state = { times: [], plots: {}, lines: [], tables: [], runs: [], over: false };
  const shown = new Map(); // tables by title

  function make(name, text, attributes = {}) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function draw(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  function number(value) {
    if (value === null || value === undefined) return "-";
    const decimals = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    return value.toLocaleString("en-US", { maximumFractionDigits: decimals });
  }

  // A path through the points; a null is a gap.
  function path(xs, ys, width, height, top) {
    const first = xs[0] ?? 0;
    const span = Math.max(1e-9, (xs[xs.length - 1] ?? 0) - first);
    let text = "";
    let pen = false;
    for (let at = 0; at < ys.length; at++) {
      if (ys[at] === null || ys[at] === undefined) {
        pen = false;
        continue;
      }
      const x = ((xs[at] - first) / span) * width;
      const y = height - (ys[at] / top) * (height - 2) - 1;
      text += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = true;
    }
    return text;
  }

  function highest(values) {
    let top = 0;
    for (const value of values) if (value !== null && value > top) top = value;
    return top;
  }

  function showWhere(where) {
    const phase = [where.phase, where.iteration].filter(Boolean).join(" - ");
    const length = where.phase_length_s ? ` (${clock(where.phase_elapsed_s)} of ${clock(where.phase_length_s)})` : "";
    put(get("phase"), phase + length);
    const known = where.total_s > 0;
    const share = where.share ?? (known ? where.elapsed_s / where.total_s : 0);
    get("bar").value = Math.min(1, Math.max(0, share));
    const left = Math.max(0, where.total_s - where.elapsed_s);
    put(get("time"), known ? `${clock(where.elapsed_s)} of ${clock(where.total_s)}, ${clock(left)} left` : "");
  }

  function showHeadlines(headlines) {
    const list = get("headlines");
    while (list.children.length > headlines.length) list.lastChild.remove();
    headlines.forEach((one, at) => {
      let group = list.children[at];
      if (!group) {
        group = make("div");
        group.append(make("dt"), make("dd"));
        list.append(group);
      }
      put(group.children[0], one.name);
      put(group.children[1], one.bad ? `! ${one.value}` : one.value);
      group.classList.toggle("bad", one.bad);
    });
  }

  function showList(id, texts) {
    const list = get(id);
    while (list.children.length > texts.length) list.lastChild.remove();
    texts.forEach((text, at) => {
      if (!list.children[at]) list.append(make("li"));
      put(list.children[at], text);
    });
  }

  function showPlots() {
    const names = Object.keys(state.plots);
    get("over-time").hidden = names.length === 0 || state.times.length < 2;
    const all = get("plots");
    names.forEach((name, at) => {
      let figure = all.children[at];
      if (!figure) {
        figure = make("figure");
        const svg = draw("svg", { viewBox: "0 0 320 90", preserveAspectRatio: "none", "aria-hidden": "true" });
        svg.append(draw("path", { class: "line", fill: "none", "vector-effect": "non-scaling-stroke" }));
        figure.append(make("figcaption"), svg, make("p", "", { class: "range" }));
        all.append(figure);
      }
      const { unit, values } = state.plots[name];
      const top = highest(values);
      const newest = values[values.length - 1];
      put(figure.children[0], `${name}: ${number(newest)} ${unit}, highest ${number(top)}`);
      figure.querySelector("path").setAttribute("d", path(state.times, values, 320, 90, top || 1));
      put(figure.children[2], `${clock(state.times[0])} to ${clock(state.times[state.times.length - 1])}, from 0`);
    });
    while (all.children.length > names.length) all.lastChild.remove();
  }

  function newTable(table) {
    const section = make("section");
    const heading = make("h2", table.title);
    const controls = make("p", undefined, { class: "controls" });
    const filter = make("input", undefined, { type: "search", "aria-label": `Filter ${table.title}`, placeholder: "filter" });
    const label = make("label");
    const worst = make("input", undefined, { type: "checkbox" });
    label.append(worst, " problems only");
    controls.append(filter, label);
    const scroll = make("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": table.title });
    const element = make("table");
    const head = make("thead");
    const names = make("tr");
    for (const column of [...table.columns, ...(table.lines ? [`${table.lines}, last minute`] : [])]) {
      names.append(make("th", column, { scope: "col" }));
    }
    head.append(names);
    const body = make("tbody");
    element.append(head, body);
    scroll.append(element);
    const left = make("p", "", { class: "left-out" });
    section.append(heading, controls, scroll, left);
    const kept = { section, filter, worst, controls, body, left, columns: table.columns.join("\n") };
    filter.addEventListener("input", () => showRows(table.title));
    worst.addEventListener("change", () => showRows(table.title));
    return kept;
  }

  function showTables() {
    const titles = new Set(state.tables.map((table) => table.title));
    for (const [title, kept] of shown) {
      const table = state.tables.find((one) => one.title === title);
      if (!titles.has(title) || table.columns.join("\n") !== kept.columns) {
        kept.section.remove();
        shown.delete(title);
      }
    }
    for (const table of state.tables) {
      if (!shown.has(table.title)) {
        shown.set(table.title, newTable(table));
        get("tables").append(shown.get(table.title).section);
      }
      showRows(table.title);
    }
  }

  function showRows(title) {
    const table = state.tables.find((one) => one.title === title);
    const kept = shown.get(title);
    if (!table || !kept) return;
    kept.controls.hidden = table.rows.length < 8;
    const text = kept.filter.value.trim().toLowerCase();
    const chosen = [];
    table.rows.forEach((row, at) => {
      const fits = !text || row.cells.some((cell) => cell.toLowerCase().includes(text));
      if (fits && (!kept.worst.checked || row.bad)) chosen.push([row, at]);
    });
    const visible = chosen.slice(0, MAX_ROWS);
    while (kept.body.children.length > visible.length) kept.body.lastChild.remove();
    visible.forEach(([row, at], place) => {
      let line = kept.body.children[place];
      if (!line) {
        line = make("tr");
        row.cells.forEach((_, column) => line.append(column ? make("td") : make("th", "", { scope: "row" })));
        if (table.lines) {
          const cell = make("td");
          const svg = draw("svg", { viewBox: "0 0 60 16", class: "spark", "aria-hidden": "true" });
          svg.append(draw("path", { class: "line", fill: "none" }));
          cell.append(svg);
          line.append(cell);
        }
        kept.body.append(line);
      }
      row.cells.forEach((cell, column) => put(line.children[column], column === 0 && row.bad ? `! ${cell}` : cell));
      line.classList.toggle("bad", row.bad);
      if (table.lines) {
        const values = state.lines.map((points) => points[at] ?? null);
        const xs = values.map((_, index) => index);
        line.lastChild.querySelector("path").setAttribute("d", path(xs, values, 60, 16, highest(values) || 1));
      }
    });
    const hidden = table.rows.length - visible.length;
    put(kept.left, hidden > 0 ? `${visible.length} of ${table.rows.length} rows are shown.` : "");
  }

  function showNotices(notices) {
    showList("notices", notices.map((text) => `! ${text}`));
  }

  function showPicture(message) {
    const { picture } = message;
    put(get("title"), picture.title || "loadgen");
    document.title = `${picture.title || "loadgen"} - loadgen`;
    showWhere(picture.where);
    put(get("so-far"), picture.so_far);
    showHeadlines(picture.headlines);
    showNotices(picture.notices);
    state.tables = message.tables;
    showPlots();
    showTables();
  }

  // Nothing was measured yet: the numbers of the run before must not stand there.
  function showNothing() {
    showPicture({ picture: { title: "", where: { phase: "No numbers yet." }, so_far: "", headlines: [], notices: [] }, tables: [] });
  }

  function showRuns(runs) {
    state.runs = runs;
    get("ended").hidden = runs.length === 0 || (state.over && runs.length === 1);
    const list = get("runs");
    list.replaceChildren();
    const table = make("table");
    const head = make("tr");
    for (const column of ["run", "verdict", "why"]) head.append(make("th", column, { scope: "col" }));
    table.append(make("thead"), make("tbody"));
    table.children[0].append(head);
    for (const run of runs) {
      const line = make("tr");
      line.append(make("th", run.name, { scope: "row" }), make("td", run.verdict), make("td", run.why));
      table.children[1].append(line);
    }
    list.append(table);
  }

  function showSaid(texts) {
    get("messages").hidden = texts.length === 0;
    showList("said", texts);
  }

  function showOver(over) {
    state.over = Boolean(over);
    showRuns(state.runs);
    const result = get("result");
    get("over").hidden = !over;
    document.body.classList.toggle("over", state.over); // numbers of one second must not look like the result
    result.replaceChildren();
    if (!over) return;
    result.append(make("p", over.verdict, { class: over.bad ? "verdict bad" : "verdict" }));
    const reasons = make("ul");
    for (const reason of over.reasons) reasons.append(make("li", reason));
    const links = make("p");
    links.append(make("a", "Report with plots", { href: "/report" }), " - ", make("a", "Report as text", { href: "/text" }));
    links.append(` - record: ${over.record}`);
    result.append(reasons, links);
  }

  const said = [];
  let source;
  let link = "new"; // then "open", "lost" or "full"
  let heard = performance.now();

  function showLink() {
    const quiet = Math.floor((performance.now() - heard) / 1000 / QUIET_S) * QUIET_S;
    let words = "Live";
    if (link === "new") words = "Connecting ...";
    else if (link === "full") words = "Too many pages of this run are open. This one tries again.";
    else if (link === "lost" && state.over) words = "No connection to loadgen, which has probably ended. This page shows its result.";
    else if (link === "lost") words = "No connection to loadgen.";
    else if (state.over) words = "The run is over. This page stays until loadgen is ended with Ctrl-C.";
    else if (quiet > 0) words = `No news for ${quiet} s: what this page shows is older.`;
    else if (document.body.classList.contains("between")) words = "Live. No run is being played.";
    put(get("link"), words);
  }

  function showAll(message) {
    link = "open";
    Object.assign(state, { times: message.times, plots: message.plots, lines: message.lines });
    said.splice(0, said.length, ...message.said);
    document.body.classList.toggle("between", message.between);
    if (message.picture) showPicture(message);
    else showNothing();
    showRuns(message.runs);
    showSaid(said);
    showOver(message.over);
  }

  function addPicture(message) {
    const before = state.times.length;
    state.times.push(message.at_s);
    for (const plot of message.picture.plots) {
      if (!state.plots[plot.title]) state.plots[plot.title] = { unit: plot.unit, values: Array(before).fill(null) };
      state.plots[plot.title].unit = plot.unit;
      state.plots[plot.title].values.push(plot.value);
    }
    if (state.times.length > MAX_POINTS) {
      const half = (list) => list.filter((_, at) => at % 2);
      state.times = half(state.times);
      for (const plot of Object.values(state.plots)) plot.values = half(plot.values);
    }
    if (message.points.length) state.lines.push(message.points);
    if (state.lines.length > LINE_POINTS) state.lines.shift();
    showPicture(message);
  }

  const handlers = {
    all: showAll,
    picture: addPicture,
    where: (message) => {
      showWhere(message.where);
      showNotices(message.notices);
    },
    said: (message) => {
      said.push(message.text);
      if (said.length > MAX_SAID) said.shift();
      showSaid(said);
    },
    runs: (message) => {
      document.body.classList.add("between");
      showRuns(message.runs);
    },
    over: (message) => showOver(message.over),
    alive: () => {},
    full: () => {
      link = "full";
      connectLater();
    },
  };

  function connect() {
    source = new EventSource("/events");
    for (const [event, handle] of Object.entries(handlers)) {
      source.addEventListener(event, (message) => {
        heard = performance.now();
        handle(JSON.parse(message.data));
        showLink();
      });
    }
    source.onerror = () => {
      link = "lost";
      if (source.readyState === EventSource.CLOSED) connectLater(); // else it connects again by itself
      showLink();
    };
  }

  function connectLater() {
    source.close();
    setTimeout(connect, AGAIN_MS);
  }

  setInterval(showLink, 1000);
  connect();
})();
