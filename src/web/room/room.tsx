/** The engine room: what the engine does, as it does it. */
export const Room = () => (
  <main id="main" class="room" tabIndex={-1}>
    <h2>Engine room</h2>
  </main>
);
