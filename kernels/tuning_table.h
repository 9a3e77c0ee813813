// The choices for products that an engine has, and the times that it notes. Change them while nothing runs.
#pragma once
#include <string>
#include <vector>

#include "tuning.h"

namespace fovea {

class TuningTable {
 public:
  /** What threads read while a plan runs; null where they need not look. */
  Tuning* used() { return tuning_.table || tuning_.samples ? &tuning_ : nullptr; }

  /** Makes these the choices, all of them; false, with a text, when one cannot be. */
  bool choose(const std::vector<Tuned>& choices, std::string& problem) {
    for (const Tuned& tuned : choices)
      if (!tuned.choice.valid() || tuned.shape.m <= 0) {
        problem = "a choice for products is out of range";
        return false;
      }
    size_t places = 16;
    while (places < 2 * choices.size()) places *= 2;
    places_.assign(choices.empty() ? 0 : places, Tuned());
    tuning_.mask = uint32_t(places - 1);
    tuning_.table = choices.empty() ? nullptr : places_.data();
    for (const Tuned& tuned : choices) {
      uint32_t i = Tuning::hash(tuned.shape) & tuning_.mask;
      while (places_[i].shape.m != 0 && !(places_[i].shape == tuned.shape)) i = (i + 1) & tuning_.mask;
      places_[i] = tuned;
    }
    return true;
  }

  /** Notes the times of so many products from now on, before they are taken; 0: of none. */
  void note(size_t room) {
    samples_.assign(room, Sample());
    tuning_.samples = room > 0 ? samples_.data() : nullptr;
    tuning_.count = 0;
    tuning_.room = int32_t(room);
  }

  /** Takes what was noted. */
  std::vector<Sample> noted() {
    std::vector<Sample> some(samples_.begin(), samples_.begin() + tuning_.count);
    tuning_.count = 0;
    return some;
  }

 private:
  Tuning tuning_;
  std::vector<Tuned> places_;
  std::vector<Sample> samples_;
};

}  // namespace fovea
