// What frames the charts of every page: its theme, its width, paper, and the button that copies the command. draw draws all charts anew
// and shown() are those on the page, as shakedownDraw gave them.
const shakedownFrame = (draw, shown, grid) => {
	const root = document.documentElement, $ = s => document.querySelector(s), theme = $("#theme"), copy = $("#copy");
	const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	const label = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", theme.textContent + " colours"); };
	theme.hidden = false;
	theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); draw(); });
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { label(); draw(); });
	label();

	if (copy && navigator.clipboard) {
		copy.hidden = false;
		copy.addEventListener("click", async () => {
			await navigator.clipboard.writeText($("#command").textContent);
			copy.textContent = "Copied";
		});
	}
	if (grid) new ResizeObserver(() => {
		for (const c of shown()) {
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
		draw();
	});
	addEventListener("afterprint", () => {
		if (!before) return;
		before.closed.forEach(d => { d.open = false; });
		if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
		draw();
	});
};

// Zooming one chart over time zooms the others.
const shakedownFollow = charts => {
	let following = false;
	for (const c of charts) if (c.time) (c.u.hooks.setScale ||= []).push((u, key) => {
		if (key !== "x" || following) return;
		following = true;
		const { min, max } = u.scales.x;
		for (const o of charts) if (o.time && o.u !== u) o.u.setScale("x", { min, max });
		following = false;
	});
};
