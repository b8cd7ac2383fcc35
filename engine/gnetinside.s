// Empty on purpose: with it the compiler takes functions without a body, which
// gnetinside.go has the linker find in gnet.
