// The page: which trials are shown, in which theme. It says in <html data-charts> how many charts were drawn, for the
// test that loads it.
(() => {
	const root = document.documentElement, $ = s => document.querySelector(s);
	const data = JSON.parse($("#data").textContent);
	const picks = $("#picks"), grid = $("#grid"), empty = $("#empty");
	let shown = [];

	const picked = name => {
		const on = picks && picks.querySelector(`input[name=${name}]:checked`);
		return on ? Number(on.value) : 0;
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
			shakedownFollow(shown);
			empty.replaceChildren(...why.map(text => Object.assign(document.createElement("li"), { textContent: "Not shown: " + text + "." })));
			for (const t of document.querySelectorAll(".timeline")) t.hidden = Number(t.dataset.l) !== l || Number(t.dataset.v) !== v;
			grid.style.minHeight = "";
			drawn = shown.length;
		}
		root.dataset.charts = drawn;
	};

	if (picks) {
		picks.hidden = false;
		picks.addEventListener("change", render);
		picks.addEventListener("submit", e => e.preventDefault());
	}
	render();
	shakedownFrame(render, () => shown, grid);
})();
