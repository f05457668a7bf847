// Small charts of the last day: each an SVG in the width that it has, with the same numbers as a table beside it.

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 168;
const EDGE = { top: 8, right: 8, bottom: 20, left: 50 };
const SHADES = ["one", "two", "three"];
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

const shape = (name, attributes, ...children) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// A chart: { title, of: [{ name, key }], kind: "lines" | "bars", written: (number) => text }.
export class Chart {
  constructor(plan) {
    this.plan = plan;
    this.quarters = [];
    this.drawing = element("div", "chart");
    this.table = element("tbody");
    const heads = ["From", ...plan.of.map((series) => series.name)].map((name) => {
      const head = element("th", "", name);
      head.scope = "col";
      return head;
    });
    const table = element("table", "", element("thead", "", element("tr", "", ...heads)), this.table);
    const scrolled = element("div", "table", table);
    scrolled.tabIndex = 0;
    scrolled.setAttribute("role", "region");
    scrolled.setAttribute("aria-label", `${plan.title}, as a table`);
    const caption = element("figcaption", "", element("h3", "", plan.title), this.#legend());
    this.details = element("details", "", element("summary", "", "As a table"), scrolled);
    this.node = element("section", "", element("figure", "", caption, this.drawing), this.details);
    new ResizeObserver(() => this.#draw()).observe(this.drawing);
    this.details.addEventListener("toggle", () => this.#list());
  }

  show(quarters) {
    this.quarters = quarters;
    this.#draw();
    this.#list();
  }

  #legend() {
    if (this.plan.of.length === 1) return null;
    const names = this.plan.of.map((series, index) => {
      const line = shape("line", { x1: 0, y1: 5, x2: 26, y2: 5, class: `stroke ${SHADES[index]}` });
      return element("span", "", shape("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, line), series.name);
    });
    return element("span", "legend", ...names);
  }

  #list() {
    if (!this.details.open) return;
    const rows = [...this.quarters].reverse().map((quarter) => {
      const from = element("th", "", clock.format(new Date(quarter.at)));
      from.scope = "row";
      const cells = this.plan.of.map((series) => element("td", "", this.#written(quarter[series.key])));
      return element("tr", "", from, ...cells);
    });
    this.table.replaceChildren(...rows);
  }

  #written(value) {
    return value === null ? "–" : this.plan.written(value);
  }

  #draw() {
    const width = Math.round(this.drawing.clientWidth);
    if (!this.quarters.length || width < 80) return;
    const room = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
    const most = ceiling(Math.max(...this.quarters.flatMap((one) => this.plan.of.map((series) => one[series.key] ?? 0))));
    const place = {
      x: (index) => EDGE.left + (index / this.quarters.length) * room.width,
      y: (value) => EDGE.top + (1 - value / most) * room.height,
      step: room.width / this.quarters.length,
    };
    const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": this.#summary() });
    svg.append(...this.#axes(place, most, width), ...this.#series(place), ...this.#senses(place, room));
    this.drawing.replaceChildren(svg);
  }

  #axes(place, most, width) {
    const lines = [0, most / 2, most].flatMap((value) => {
      const y = place.y(value);
      const label = shape("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, this.plan.written(value));
      return [shape("line", { x1: EDGE.left, y1: y, x2: width - EDGE.right, y2: y, class: "axis" }), label];
    });
    const every = width < 420 ? 6 : 3;
    const hours = this.quarters.flatMap((quarter, index) => {
      const at = new Date(quarter.at);
      if (at.getMinutes() !== 0 || at.getHours() % every !== 0 || place.x(index) > width - 30) return [];
      return [shape("text", { x: place.x(index), y: HEIGHT - 4, "text-anchor": "middle" }, clock.format(at))];
    });
    return [...lines, ...hours];
  }

  #series(place) {
    return this.plan.of.flatMap((series, index) =>
      this.plan.kind === "bars" ? this.#bars(place, series, index) : [this.#line(place, series, index)],
    );
  }

  #bars(place, series, index) {
    return this.quarters.flatMap((quarter, at) => {
      const value = quarter[series.key] ?? 0;
      if (!value) return [];
      const box = { x: place.x(at) + place.step * 0.1, y: place.y(value), width: place.step * 0.8 };
      return [shape("rect", { ...box, height: place.y(0) - box.y, class: `fill ${SHADES[index]}` })];
    });
  }

  #line(place, series, index) {
    let path = "";
    let isBroken = true;
    this.quarters.forEach((quarter, at) => {
      const value = quarter[series.key];
      if (value === null) {
        isBroken = true;
        return;
      }
      const y = place.y(value).toFixed(1);
      path += `${isBroken ? "M" : "L"}${place.x(at).toFixed(1)} ${y}H${(place.x(at) + place.step).toFixed(1)}`;
      isBroken = false;
    });
    return shape("path", { d: path || "M0 0", class: `stroke ${SHADES[index]}` });
  }

  #senses(place, room) {
    return this.quarters.map((quarter, at) => {
      const said = this.plan.of.map((series) => `${series.name}: ${this.#written(quarter[series.key])}`).join("\n");
      const title = shape("title", {}, `${clock.format(new Date(quarter.at))}\n${said}`);
      const box = { x: place.x(at), y: EDGE.top, width: place.step, height: room.height };
      return shape("rect", { ...box, class: "sense" }, title);
    });
  }

  #summary() {
    const parts = this.plan.of.map((series) => {
      const values = this.quarters.map((quarter) => quarter[series.key]).filter((value) => value !== null);
      if (this.plan.isSummed) return `${series.name}: ${this.plan.written(values.reduce((sum, one) => sum + one, 0))} in all`;
      return values.length ? `${series.name}: at most ${this.plan.written(Math.max(...values))}` : `${series.name}: none`;
    });
    return `${this.plan.title}, last 24 hours. ${parts.join("; ")}.`;
  }
}

// The next number that is pleasant to read and has a half.
function ceiling(value) {
  if (value <= 0) return 2;
  const size = 10 ** Math.floor(Math.log10(value));
  const found = [1, 2, 4, 5, 6, 8, 10].find((step) => step * size >= value);
  return size >= 1 && found * size < 2 ? 2 : found * size;
}
