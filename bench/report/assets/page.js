// The page: which trials are shown, in which theme. It says in <html data-charts> how many charts were drawn, for the
// test that loads it.
(() => {
	const root = document.documentElement, $ = s => document.querySelector(s);
	const data = JSON.parse($("#data").textContent);
	const picks = $("#picks"), grid = $("#grid"), empty = $("#empty"), theme = $("#theme"), copy = $("#copy");
	let shown = [];

	const picked = name => {
		const on = picks && picks.querySelector(`input[name=${name}]:checked`);
		return on ? Number(on.value) : 0;
	};
	// Zooming one chart over time zooms the others.
	let following = false;
	const follow = (u, key) => {
		if (key !== "x" || following) return;
		following = true;
		const { min, max } = u.scales.x;
		for (const c of shown) if (c.time && c.u !== u) c.u.setScale("x", { min, max });
		following = false;
	};
	const render = () => {
		for (const c of shown) c.u.destroy();
		shown = [];
		let drawn = 0;
		if (grid) {
			grid.style.minHeight = grid.offsetHeight + "px"; // the page keeps its place while charts are replaced
			grid.replaceChildren();
			const l = picked("level"), v = picked("variant");
			const all = data.trials.filter(t => t.l === l);
			const one = all.find(t => t.v === v);
			const { panels, empty: why } = all.length ? shakedownPanels({ all, one, names: data.variants }) : { panels: [], empty: ["no trial at this level can be charted"] };
			shown = panels.map(p => shakedownDraw(p, data.variants, grid));
			for (const c of shown) if (c.time) (c.u.hooks.setScale ||= []).push(follow);
			empty.replaceChildren(...why.map(text => Object.assign(document.createElement("li"), { textContent: "Not shown: " + text + "." })));
			for (const t of document.querySelectorAll(".timeline")) t.hidden = Number(t.dataset.l) !== l || Number(t.dataset.v) !== v;
			grid.style.minHeight = "";
			drawn = shown.length;
		}
		root.dataset.charts = drawn;
	};

	const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	const label = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", theme.textContent + " colours"); };
	theme.hidden = false;
	theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); render(); });
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { label(); render(); });
	label();

	if (copy && navigator.clipboard) {
		copy.hidden = false;
		copy.addEventListener("click", async () => {
			await navigator.clipboard.writeText($("#command").textContent);
			copy.textContent = "Copied";
		});
	}
	if (picks) {
		picks.hidden = false;
		picks.addEventListener("change", render);
		picks.addEventListener("submit", e => e.preventDefault());
	}
	render();

	if (grid) new ResizeObserver(() => {
		for (const c of shown) {
			const width = Math.max(200, c.host.clientWidth);
			if (width !== c.u.width) c.u.setSize({ width, height: c.u.height });
		}
	}).observe(grid);

	// On paper everything is open, and light.
	let before;
	addEventListener("beforeprint", () => {
		before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open])")] };
		before.closed.forEach(d => { d.open = true; });
		root.dataset.theme = "light";
		render();
	});
	addEventListener("afterprint", () => {
		if (!before) return;
		before.closed.forEach(d => { d.open = false; });
		if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
		render();
	});
})();
