// What makes a box of widgets a panel: while the focus is in it, a plain key belongs to it. JupyterLab and Notebook 7
// would else take "d d" on one of its buttons for "delete the cell", and the panel would be gone. Keys with Ctrl, Alt or
// Meta are left to them, so that the notebook can still be saved.

// Lumino's word for elements that have no shortcuts. It must stand on the element that has the focus, which their
// selectors match; stopping the event would be too late, since Notebook 7 takes it before it reaches the panel.
const SUPPRESS = "data-lm-suppress-shortcuts";

function render({ model, el }) {
  const keep = (event) => {
    const panel = el.closest(`.${model.get("panel_class")}`);
    if (!panel?.contains(event.target)) return;
    event.target.toggleAttribute(SUPPRESS, !event.ctrlKey && !event.altKey && !event.metaKey);
  };
  // Before anybody else: windows come first when an event is captured.
  window.addEventListener("keydown", keep, true);
  return () => window.removeEventListener("keydown", keep, true);
}

export default { render };
