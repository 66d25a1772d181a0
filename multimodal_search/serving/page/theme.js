// Light or dark: as the system says, until the switch says otherwise. Loaded before the first paint.

(() => {
  const kept = "multimodal-search-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    root.dataset.theme = localStorage.getItem(kept) ?? (system.matches ? "dark" : "light");
    document.dispatchEvent(new Event("theme"));
  };
  set();
  system.addEventListener("change", set);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#theme")) return;
    localStorage.setItem(kept, root.dataset.theme === "dark" ? "light" : "dark");
    set();
  });
})();
