// The page is whole without this script. It adds what a reader can do: point at a mark, by mouse,
// touch or keyboard; look at a part of the Manhattan plot; find a variant; sort the findings.
(() => {
  "use strict";

  const make = (tag, attributes = {}, text = "") => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  };

  // A frame whose marks can be gone through. `marks()` gives {x, y, text} in pixels of the frame.
  const tips = (frame, marks) => {
    const tip = make("div", { class: "tip", role: "status" });
    const ring = make("div", { class: "ring" });
    ring.hidden = true;
    frame.append(ring, tip);
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", `${frame.getAttribute("aria-label")} Arrow keys go from mark to mark.`);
    frame.tabIndex = 0;
    let at = -1;
    const hide = () => { tip.textContent = ""; ring.hidden = true; at = -1; };
    const show = (all, i) => {
      at = i;
      const { x, y, text } = all[i];
      tip.textContent = text;
      ring.hidden = false;
      ring.style.left = `${x}px`;
      ring.style.top = `${y}px`;
      const room = frame.clientWidth - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(x - tip.offsetWidth / 2, room))}px`;
      tip.style.top = `${y - tip.offsetHeight > 18 ? y - tip.offsetHeight - 14 : y + 16}px`;
    };
    const near = (event) => {
      const box = frame.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const all = marks();
      const reach = event.pointerType === "touch" ? 30 : 16;
      let best = -1, least = reach * reach;
      all.forEach((mark, i) => {
        const inside = mark.box && x >= mark.box[0] && x <= mark.box[2] && y >= mark.box[1] && y <= mark.box[3];
        const far = (inside ? 0.2 : 1) * ((mark.x - x) ** 2 + (mark.y - y) ** 2);
        if (far < least || (inside && best < 0)) { least = Math.min(far, least); best = i; }
      });
      if (best < 0) hide(); else show(all, best);
    };
    frame.addEventListener("pointermove", (event) => { if (!event.buttons) near(event); });
    frame.addEventListener("pointerup", near);
    frame.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    frame.addEventListener("blur", hide);
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const all = marks();
      if (event.key === "Escape") hide();
      else if (!all.length || event.target !== frame) return;
      else if (step) show(all, at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length);
      else if (event.key === "Home") show(all, 0);
      else if (event.key === "End") show(all, all.length - 1);
      else return;
      event.preventDefault();
    });
    return { hide, show };
  };

  const plain = (frame) => () => {
    const outer = frame.getBoundingClientRect();
    return [...frame.querySelectorAll("[data-tip]")].map((mark) => {
      const box = mark.getBoundingClientRect();
      const spot = (mark.querySelector("circle, .diamond path") || mark).getBoundingClientRect();
      return {
        x: (spot.left + spot.right) / 2 - outer.left,
        y: (spot.top + spot.bottom) / 2 - outer.top,
        box: [box.left - outer.left, box.top - outer.top, box.right - outer.left, box.bottom - outer.top],
        text: mark.dataset.tip,
      };
    });
  };

  const comma = (number) => number.toLocaleString("en-GB");
  const minus = (text) => String(text).replace("-", "\u2212");

  const manhattan = (figure, data) => {
    const frame = figure.querySelector(".frame");
    const axes = frame.querySelector(".axes");
    const paths = [...frame.querySelectorAll(".points")];
    const title = frame.querySelector(".title.below");
    const n = data.position.length;
    const x = data.position.map((p, i) => p / 1e6 + data.shift[data.chromosome[i]]);
    const strongest = data.p.map((_, i) => i).sort((a, b) => data.p[b] - data.p[a]);
    const whole = data.x;
    let [low, high] = whole;

    const name = (i) => `${data.names[data.chromosome[i]]}:${comma(data.position[i])}`;
    const said = (i) => {
      const more = [];
      if (data.beta[i] !== null) more.push(`effect of one copy ${data.beta[i] > 0 ? "+" : ""}${minus(data.beta[i])}`);
      if (data.frequency[i] !== null) more.push(`frequency ${data.frequency[i]}`);
      return [`${name(i)} ${data.effect[i]} (${data.other[i]}): \u2212log\u2081\u2080 p ${data.p[i]}`, ...more].join(", ");
    };
    const spot = (i) => {
      const [inner, outer] = [axes.getBoundingClientRect(), frame.getBoundingClientRect()];
      return {
        x: inner.left - outer.left + ((x[i] - low) / (high - low)) * inner.width,
        y: inner.top - outer.top + (1 - data.p[i] / data.top) * inner.height,
        text: said(i),
      };
    };
    const seen = () => strongest.filter((i) => x[i] >= low && x[i] <= high);
    const tip = tips(frame, () => seen().map(spot));

    const round = () => {
      const raw = (high - low) / 4, power = 10 ** Math.floor(Math.log10(raw));
      const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
      return { step, places: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
    };
    const ticks = () => {
      const middle = data.shift.map((shift, c) => ({ shift, c })).filter(({ c }) =>
        data.chromosome.some((other, i) => other === c && x[i] >= low && x[i] <= high));
      if (middle.length !== 1) {
        title.textContent = data.title;
        return data.ticks.filter(([at]) => at >= low && at <= high);
      }
      const { step, places } = round();
      const { shift, c } = middle[0];
      title.textContent = `Position on chromosome ${data.names[c]}, in million base pairs`;
      const found = [];
      for (let at = Math.ceil((low - shift) / step) * step; at <= high - shift; at += step) {
        found.push([at + shift, at.toFixed(places)]);
      }
      return found;
    };
    const draw = () => {
      tip.hide();
      const steps = ["", ""];
      for (let i = 0; i < n; i++) {
        if (x[i] < low || x[i] > high) continue;
        const [a, b] = [1000 * (x[i] - low) / (high - low), 1000 * (1 - data.p[i] / data.top)];
        steps[data.chromosome[i] % 2] += `M${a.toFixed(1)},${b.toFixed(1)}h0`;
      }
      paths.forEach((path, band) => path.setAttribute("d", steps[band]));
      axes.querySelectorAll(".up").forEach((tick) => tick.remove());
      for (const [at, text] of ticks()) {
        const tick = document.createElementNS("http://www.w3.org/2000/svg", "text");
        const place = { class: "tick up", y: "100%", dy: "1.5em", "text-anchor": "middle", x: `${(100 * (at - low)) / (high - low)}%` };
        for (const [key, value] of Object.entries(place)) tick.setAttribute(key, value);
        tick.textContent = text;
        axes.append(tick);
      }
      const all = low === whole[0] && high === whole[1];
      buttons.All.disabled = buttons["Zoom out"].disabled = all;
    };
    const view = (from, to) => {
      const width = Math.min(Math.max(to - from, 0.002), whole[1] - whole[0]);
      low = Math.min(Math.max((from + to - width) / 2, whole[0]), whole[1] - width);
      high = low + width;
      if (width === whole[1] - whole[0]) [low, high] = whole;
      draw();
    };
    const zoom = (factor, shift = 0) => {
      const [middle, half] = [(low + high) / 2, ((high - low) / 2) * factor];
      view(middle - half + shift * half, middle + half + shift * half);
    };

    const form = make("form", { class: "tools" });
    const example = `${name(strongest[0])}`;
    form.append(make("label", { for: "variant" }, `Find a variant or a region, such as ${example}`), make("input", { id: "variant", autocomplete: "off", spellcheck: "false" }));
    form.append(make("button", { type: "submit" }, "Find"));
    const buttons = {};
    const acts = { "Zoom in": [0.4], "Zoom out": [2.5], "Left": [1, -0.7], "Right": [1, 0.7], "All": null };
    for (const [label, act] of Object.entries(acts)) {
      buttons[label] = make("button", { type: "button" }, label);
      buttons[label].addEventListener("click", () => (act ? zoom(...act) : view(...whole)));
      form.append(buttons[label]);
    }
    const found = make("p", { class: "found small", role: "status" });
    frame.before(form, found);
    frame.addEventListener("keydown", (event) => {
      const act = { "+": [0.4], "=": [0.4], "-": [2.5] }[event.key];
      if (act && event.target === frame) zoom(...act);
    });

    const find = (text) => {
      const tidy = text.replace(/[\s,]/g, "").replace(/^chr/i, "");
      const [, first, from, to] = /^(?:([^:]+):)?(\d+)(?:[-\u2013](\d+))?$/.exec(tidy) || [];
      const chromosome = first === undefined && data.names.length === 1 ? 0 : data.names.indexOf(first);
      if (from === undefined || chromosome < 0) return `Not understood: write chromosome:position, such as ${example}, or chromosome:from-to.`;
      const here = data.position.map((_, i) => i).filter((i) => data.chromosome[i] === chromosome);
      const shift = data.shift[chromosome];
      if (to !== undefined) {
        const inside = here.filter((i) => data.position[i] >= +from && data.position[i] <= +to);
        view(+from / 1e6 + shift, +to / 1e6 + shift);
        return `${comma(inside.length)} of the points drawn lie in this region.`;
      }
      const nearest = here.reduce((a, b) => Math.abs(data.position[b] - from) < Math.abs(data.position[a] - from) ? b : a);
      view(+from / 1e6 + shift - 0.25, +from / 1e6 + shift + 0.25);
      if (data.position[nearest] !== +from) return `Not among the points drawn. Every variant with \u2212log\u2081\u2080 p above ${data.weaker} is, so it is weaker, or was not tested: see association.tsv. The nearest point is ${name(nearest)}.`;
      tip.show([spot(nearest)], 0);
      return `${said(nearest)}.`;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      found.textContent = find(form.querySelector("input").value);
    });

    // A drag marks a region. On a screen of glass an upright drag scrolls the page.
    const drag = make("div", { class: "drag" });
    drag.hidden = true;
    frame.append(drag);
    let start = null;
    const along = (event) => {
      const box = axes.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    };
    axes.addEventListener("pointerdown", (event) => { start = along(event); axes.setPointerCapture(event.pointerId); });
    axes.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const [inner, outer] = [axes.getBoundingClientRect(), frame.getBoundingClientRect()];
      const ends = [start, along(event)].sort((a, b) => a - b);
      drag.hidden = false;
      drag.style.left = `${inner.left - outer.left + ends[0] * inner.width}px`;
      drag.style.width = `${(ends[1] - ends[0]) * inner.width}px`;
      drag.style.top = `${inner.top - outer.top}px`;
      drag.style.height = `${inner.height}px`;
    });
    const stop = () => { start = null; drag.hidden = true; };
    axes.addEventListener("pointerup", (event) => {
      const ends = start === null ? [0, 0] : [start, along(event)].sort((a, b) => a - b);
      stop();
      if (ends[1] - ends[0] > 0.02) view(low + ends[0] * (high - low), low + ends[1] * (high - low));
    });
    axes.addEventListener("pointercancel", stop);
    draw();
    window.addEventListener("resize", tip.hide);
    window.addEventListener("beforeprint", () => view(...whole));
  };

  const sortable = (table) => {
    const rows = [...table.tBodies[0].rows];
    const order = new Map(rows.map((row, i) => [row, i]));
    const key = (row, column) => {
      const cell = row.cells[column];
      if (!cell) return "";
      const text = cell.textContent.trim().replace(/\u2212/g, "-");
      const number = parseFloat(text.replace(/,/g, ""));
      return cell.classList.contains("number") && !Number.isNaN(number) ? number : text;
    };
    const compare = (a, b) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      return typeof a === "number" ? a - b : a.localeCompare(b, "en");
    };
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        rows.sort((a, b) => (down ? -1 : 1) * compare(key(a, column), key(b, column)) || order.get(a) - order.get(b));
        table.tBodies[0].append(...rows);
      });
    });
  };

  const data = document.getElementById("manhattan-data");
  for (const frame of document.querySelectorAll(".frame")) {
    if (frame.querySelector("[data-tip]")) tips(frame, plain(frame));
  }
  if (data) manhattan(document.getElementById("manhattan"), JSON.parse(data.textContent));
  document.querySelectorAll("table.sortable").forEach(sortable);
})();
