// The words in which ops state their contracts (contract.h), and the sentences for steps that break them.
#include "contract.h"
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>
#include "steps.h"

namespace bayes {
namespace {

const char* const DTYPES[] = {"f32", "i32", "u8"};

std::string list(const double* values, int count) {
  std::string text;
  for (int i = 0; i < count && i < 8; i++) {
    char one[32];
    if (std::isnan(values[i])) snprintf(one, sizeof one, "%sNaN", i ? ", " : "");
    else snprintf(one, sizeof one, "%s%.10g", i ? ", " : "", values[i]);
    text += one;
  }
  return count > 8 ? text + ", …" : text;
}

std::unordered_map<std::string, ContractOf>& contracts() {
  static std::unordered_map<std::string, ContractOf> all;
  return all;
}

// One axis of a type, or a run of axes.
enum Kind { SIZE, LETTER, LIKE, ANY_AXES, ONES };
struct Item {
  Kind kind;
  long value;  // of SIZE; of LETTER its number
};
struct Type {
  int dtypes = 0;  // as bits
  bool same = false;
  int count = 0, run = -1;  // items, and which of them is a run of axes
  Item items[BAYES_MAX_RANK + 1];

  explicit Type(const char* p) {
    for (; *p != '['; p++) {
      if (*p == 'T') same = true;
      for (int d = 0; d < 3; d++)
        if (!strncmp(p, DTYPES[d], strlen(DTYPES[d]))) dtypes |= 1 << d;
    }
    for (p++; *p != ']';) {
      Item& item = items[count++];
      if (*p >= 'A' && *p <= 'Z') item = {LETTER, *p - 'A'}, p++;
      else if (*p == '*') item = {ANY_AXES, 0}, p++;
      else if (*p == '.') item = {LIKE, 0}, p += 3;
      else {
        item = {SIZE, strtol(p, const_cast<char**>(&p), 10)};
        if (*p == '.') item = {ONES, 0}, p += 3;
      }
      if (item.kind >= LIKE) run = count - 1;
      while (*p == ',' || *p == ' ') p++;
    }
  }
};

}  // namespace

void registerContract(const char* op, ContractOf contract) { contracts()[op] = contract; }
ContractOf findContract(const char* op) {
  const auto found = contracts().find(op);
  return found == contracts().end() ? nullptr : found->second;
}

struct Contract::Ranges {
  struct Range {
    int32_t space, index;
    int64_t from, to;
    bool written;
    int at;     // of an input its number, of an output ~number
    int group;  // of an output: the first input of its group, and which of those it may overwrite, as bits
    unsigned over;
    bool mayOverwrite(int input) const { return input >= group && input < group + 32 && (over >> (input - group) & 1); }
    bool operator<(const Range& b) const {
      return space != b.space ? space < b.space : index != b.index ? index < b.index : from < b.from;
    }
  };
  std::vector<Range> all;
  void add(const Tensor& t, bool isWritten, int at, int group = 0, unsigned over = 0) {
    if (!t) return;
    const int index = t.space == BAYES_ARENA ? 0 : t.index;
    all.push_back({t.space, index, t.offset, t.offset + bytesOf(t), isWritten, at, group, over});
  }
};

Contract::Contract() : ranges(new Ranges()) {}
Contract::~Contract() { delete ranges; }

void Contract::check(const Step& s, ContractOf contract) {
  step = &s, ins = outs = group = 0, likes = dtype = -1, overwritable = 0, known = 0;
  std::fill(sizes, sizes + 26, 0);
  ranges->all.clear();
  contract(*this);
  if (inputsLeft()) refuse("%d inputs, received %d", ins, step->nin);
  if (outputsLeft()) refuse("%d outputs, received %d", outs, step->nout);
  for (int i = 0; i < step->nattr; i++)
    if (i >= 64 || !(known >> i & 1)) refuse("no attribute %.60s here, received one", step->attrs[i].name);
  bool read = step->nout == 0;
  for (int i = 0; i < step->nout; i++) read |= static_cast<bool>(step->out[i]);
  if (!read) refuse("an output that is read, received none");
  checkMemory();
  committed |= step->commits;
}

void Contract::refuse(const char* text, ...) const {
  char why[257];
  int n = snprintf(why, sizeof why, "[%.60s] expected ", step->op);
  va_list args;
  va_start(args, text);
  vsnprintf(why + n, sizeof why - n, text, args);
  va_end(args);
  throw std::runtime_error(why);
}

void Contract::expect(bool holds, const char* text, ...) {
  if (holds) return;
  char what[200];
  va_list args;
  va_start(args, text);
  vsnprintf(what, sizeof what, text, args);
  va_end(args);
  refuse("%s", what);
}

const Tensor& Contract::next(bool input, const char* name, const char* type) {
  int& at = input ? ins : outs;
  const int count = input ? step->nin : step->nout;
  const char* kind = input ? "input" : "output";
  if (at >= count) refuse("an %s %s as %s, received %d %s%s", kind, name, type, count, kind, count == 1 ? "" : "s");
  const Tensor& t = (input ? step->in : step->out)[at++];
  match(t, name, type);
  return t;
}
const Tensor& Contract::in(const char* name, const char* type) {
  const Tensor& t = next(true, name, type);
  if (!t) refuse("a place for the input %s, received none", name);
  ranges->add(t, false, ins - 1);
  return t;
}
const Tensor& Contract::inout(const char* name, const char* type) {
  const Tensor& t = in(name, type);
  if (t.space == BAYES_FEED) refuse("%s outside the feeds, since it is written, received one in a feed", name);
  if (!step->commits) refuse("a step that commits, since it writes %s, received one that does not", name);
  ranges->all.back().written = true;
  return t;
}
void Contract::beforeCommits() const {
  if (committed) refuse("to come before the steps that commit, received one before it");
}
const Tensor& Contract::perhaps(const char* name, const char* type) {
  const Tensor& t = next(false, name, type);
  if (t.space == BAYES_FEED) refuse("%s outside the feeds, since it is written, received one in a feed", name);
  const int own = ins - group;  // inputs of its group
  ranges->add(t, true, ~(outs - 1), group, own < 32 ? overwritable & ((1u << own) - 1) : overwritable);
  overwritable = 0;
  return t;
}
const Tensor& Contract::out(const char* name, const char* type) {
  const Tensor& t = perhaps(name, type);
  if (!t) refuse("a place for the output %s, received none", name);
  return t;
}

void Contract::match(const Tensor& t, const char* name, const char* type) {
  const Type want(type);
  const int fixed = want.count - (want.run >= 0), run = t.rank - fixed;
  const Kind runs = want.run >= 0 ? want.items[want.run].kind : SIZE;
  bool fits = want.same ? t.dtype == dtype : want.dtypes >> t.dtype & 1;
  fits = fits && (want.run < 0 ? run == 0 : run >= 0);
  long now[26];  // a type may name a size twice
  memcpy(now, sizes, sizeof now);
  if (runs == LIKE && likes >= 0) fits = fits && run == likes;
  for (int i = 0, axis = 0; fits && i < want.count; i++) {
    const Item item = want.items[i];
    if (item.kind == SIZE) fits = t.dims[axis++] == item.value;
    else if (item.kind == LETTER) {
      long& size = now[item.value];
      fits = size == 0 || size == t.dims[axis];
      size = t.dims[axis++];
    } else {
      for (int k = 0; k < run; k++, axis++) {
        if (runs == ONES) fits = fits && t.dims[axis] == 1;
        if (runs == LIKE && likes >= 0) fits = fits && t.dims[axis] == like[k];
      }
    }
  }
  if (!fits) {
    std::string text(type, strchr(type, '[') + 1 - type);
    if (want.same) text = std::string(DTYPES[dtype]) + "[";
    for (int i = 0; i < want.count; i++) {
      const Item item = want.items[i];
      std::string one;
      if (item.kind == SIZE) one = std::to_string(item.value);
      else if (item.kind == LETTER)
        one =
            sizes[item.value] ? std::to_string(sizes[item.value]) : std::string(1, static_cast<char>('A' + item.value));
      else if (item.kind == LIKE && likes >= 0)
        for (int k = 0; k < likes; k++) one += (k ? ", " : "") + std::to_string(like[k]);
      else one = item.kind == ONES ? "1..." : item.kind == LIKE ? "..." : "*";
      text += (i && !one.empty() ? ", " : "") + one;
    }
    refuse("%s as %s], received %s", name, text.c_str(), typeOf(t));
  }
  if (want.dtypes & (want.dtypes - 1)) dtype = t.dtype;
  memcpy(sizes, now, sizeof now);
  if (runs != LIKE) return;
  likes = run;
  for (int k = 0; k < run; k++) like[k] = t.dims[want.run + k];
}

const char* Contract::typeOf(const Tensor& t) {
  thread_local std::string last[4];
  thread_local unsigned next = 0;
  std::string& text = last[next++ % 4];
  text = std::string(DTYPES[t.dtype]) + "[";
  for (int i = 0; i < t.rank; i++) text += (i ? ", " : "") + std::to_string(t.dims[i]);
  text += "]";
  return text.c_str();
}

const double* Contract::attr(const char* name, int count, double least, double most, bool whole) {
  const Attr* a = step->find(name);
  const char* kind = whole ? "whole number" : "number";
  if (a) known |= uint64_t{1} << ((a - step->attrs) & 63);
  bool fits = a && a->count == count;
  for (int i = 0; fits && i < count; i++) {
    const double v = a->values[i];
    fits = v >= least && v <= most && (!whole || v == std::floor(v));
  }
  if (fits) return a->values;
  char range[80] = "";
  if (least > -ANY) snprintf(range, sizeof range, " from %.10g", least);
  if (most < ANY) snprintf(range + strlen(range), sizeof range - strlen(range), " to %.10g", most);
  const std::string received = !a ? "none" : a->count ? list(a->values, a->count) : "an empty list";
  refuse("the attribute %s as %d %s%s%s, received %s", name, count, kind, count == 1 ? "" : "s", range,
         received.c_str());
}
long Contract::whole(const char* name, long least, long most) {
  return static_cast<long>(*attr(name, 1, static_cast<double>(least), static_cast<double>(most), true));
}
long Contract::whole(const char* name, long least, long most, long otherwise) {
  return has(name) ? whole(name, least, most) : otherwise;
}
double Contract::number(const char* name, double least, double most) { return *attr(name, 1, least, most, false); }
double Contract::number(const char* name, double least, double most, double otherwise) {
  return has(name) ? number(name, least, most) : otherwise;
}
const double* Contract::wholes(const char* name, int count, long least, long most) {
  return attr(name, count, static_cast<double>(least), static_cast<double>(most), true);
}
const double* Contract::numbers(const char* name, int count, double least, double most) {
  return attr(name, count, least, most, false);
}
void Contract::shape(const char* name, const Tensor& t, int from) {
  const double* sizesOf = wholes(name, t.rank - from, 1);
  for (int i = from; i < t.rank; i++)
    if (sizesOf[i - from] != static_cast<double>(t.dims[i]))
      refuse("the attribute %s as the sizes of %s, received %s", name, typeOf(t), list(sizesOf, t.rank - from).c_str());
}

// What is written overlaps nothing else, unless an output lies exactly where an input does that it may overwrite.
void Contract::checkMemory() const {
  auto& all = ranges->all;
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); i++)
    for (size_t k = i + 1; k < all.size(); k++) {
      const Ranges::Range &a = all[i], &b = all[k];
      if (a.space != b.space || a.index != b.index || b.from >= a.to) break;
      if (!a.written && !b.written) continue;
      const bool exact = a.from == b.from && a.to == b.to;
      if (exact && (a.at >= 0 ? b.mayOverwrite(a.at) : a.mayOverwrite(b.at))) continue;
      const auto kind = [](int at) { return at < 0 ? "output" : "input"; };
      const auto number = [](int at) { return at < 0 ? ~at : at; };
      refuse("memory of its own for what is written, received %s %d over %s %d", kind(a.at), number(a.at), kind(b.at),
             number(b.at));
    }
}

}  // namespace bayes
