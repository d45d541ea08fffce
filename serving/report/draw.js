"use strict";
// Plotly comes packed, so that the page is half as heavy in a mail; it is unpacked here, by the
// browser itself, and then draws the figures that stand in the page as JSON.
(async () => {
  const config = { displayModeBar: false, scrollZoom: false, responsive: true };

  const unpacked = async () => {
    const text = document.getElementById("plotly").textContent.trim();
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // With its size as a view box, a figure that was drawn for a screen fits on paper as well.
  const sized = (place) => {
    for (const drawn of place.querySelectorAll(".main-svg")) {
      const [width, height] = ["width", "height"].map((name) => drawn.getAttribute(name));
      drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
      place.style.setProperty("--shape", `${width} / ${height}`);
    }
  };

  try {
    const script = document.createElement("script");
    script.textContent = await unpacked();
    document.head.append(script);
    for (const place of document.querySelectorAll(".picture")) {
      const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
      await Plotly.newPlot(place, data, layout, config);
      sized(place);
      place.on("plotly_afterplot", () => sized(place));
    }
    document.documentElement.dataset.drawn = "yes";
  } catch (error) {
    document.documentElement.dataset.drawn = "no";
    throw error;
  }
})();
