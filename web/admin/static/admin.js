// What starlette-admin's templates wrote into attributes, and the page of an act that waits for its worker.
document.querySelectorAll('[data-admin-hook="apply-columns"]').forEach((button) => {
  button.addEventListener("click", () => window.applyColumnVisibility());
});
document.querySelectorAll('[data-admin-hook="go-to-value"]').forEach((select) => {
  select.addEventListener("change", () => window.location.assign(select.value));
});
// A row that leads to its page does so by keys as well.
document.querySelectorAll("tr[data-sa-href]").forEach((row) => {
  row.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === row) window.location.assign(row.dataset.saHref);
  });
});
// A box that scrolls has to be reached by keys as well.
document.querySelectorAll(".table-responsive").forEach((box) => {
  box.tabIndex = 0;
});
if (document.querySelector("[data-admin-waits]")) {
  setTimeout(() => window.location.reload(), 1000);
}
