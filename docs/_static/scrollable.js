// Code and tables that are too wide scroll by themselves, and have to be reached by keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const target of document.querySelectorAll("article pre, .table-wrapper")) observer.observe(target);
});
