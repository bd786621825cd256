// What makes a box of widgets a panel: while the focus is in it, a plain key belongs to it. JupyterLab would else take
// "d d" on one of its buttons for "delete the cell", and the panel would be gone. Keys with Ctrl, Alt or Meta pass, so
// that the notebook can still be saved.

function render({ model, el }) {
  const keep = (event) => {
    if (!event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  };
  let panel = null;
  // The element is put into the page after this function has returned.
  const frame = requestAnimationFrame(() => {
    panel = el.closest(`.${model.get("panel_class")}`);
    panel?.addEventListener("keydown", keep);
  });
  return () => {
    cancelAnimationFrame(frame);
    panel?.removeEventListener("keydown", keep);
  };
}

export default { render };
