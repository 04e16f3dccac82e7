if (new URLSearchParams(location.search).has("wrong")) {
  document.getElementById("wrong").textContent = "That is not the token.";
}
