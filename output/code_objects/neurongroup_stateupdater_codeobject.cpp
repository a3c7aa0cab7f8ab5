#include "code_objects/neurongroup_stateupdater_codeobject.h"
#include "objects.h"
#include "brianlib/common_math.h"
#include "brianlib/stdint_compat.h"
#include<cmath>
#include<ctime>
#include<iostream>
#include<fstream>
#include<climits>

////// SUPPORT CODE ///////
namespace {
        
    static inline double _exprel(double x)
    {
        if (fabs(x) < 1e-16)
            return 1.0;
        if (x > 717)
            return INFINITY;
        return expm1(x)/x;
    }
    static inline int64_t _timestep(double t, double dt)
    {
        return (int64_t)((t + 1e-3*dt)/dt);
    }
    template < typename T1, typename T2 > struct _higher_type;
    template < > struct _higher_type<int32_t,int32_t> { typedef int32_t type; };
    template < > struct _higher_type<int32_t,int64_t> { typedef int64_t type; };
    template < > struct _higher_type<int32_t,float> { typedef float type; };
    template < > struct _higher_type<int32_t,double> { typedef double type; };
    template < > struct _higher_type<int32_t,long double> { typedef long double type; };
    template < > struct _higher_type<int64_t,int32_t> { typedef int64_t type; };
    template < > struct _higher_type<int64_t,int64_t> { typedef int64_t type; };
    template < > struct _higher_type<int64_t,float> { typedef float type; };
    template < > struct _higher_type<int64_t,double> { typedef double type; };
    template < > struct _higher_type<int64_t,long double> { typedef long double type; };
    template < > struct _higher_type<float,int32_t> { typedef float type; };
    template < > struct _higher_type<float,int64_t> { typedef float type; };
    template < > struct _higher_type<float,float> { typedef float type; };
    template < > struct _higher_type<float,double> { typedef double type; };
    template < > struct _higher_type<float,long double> { typedef long double type; };
    template < > struct _higher_type<double,int32_t> { typedef double type; };
    template < > struct _higher_type<double,int64_t> { typedef double type; };
    template < > struct _higher_type<double,float> { typedef double type; };
    template < > struct _higher_type<double,double> { typedef double type; };
    template < > struct _higher_type<double,long double> { typedef long double type; };
    template < > struct _higher_type<long double,int32_t> { typedef long double type; };
    template < > struct _higher_type<long double,int64_t> { typedef long double type; };
    template < > struct _higher_type<long double,float> { typedef long double type; };
    template < > struct _higher_type<long double,double> { typedef long double type; };
    template < > struct _higher_type<long double,long double> { typedef long double type; };
    // General template, used for floating point types
    template < typename T1, typename T2 >
    static inline typename _higher_type<T1,T2>::type
    _brian_mod(T1 x, T2 y)
    {
        return x-y*floor(1.0*x/y);
    }
    // Specific implementations for integer types
    // (from Cython, see LICENSE file)
    template <>
    inline int32_t _brian_mod(int32_t x, int32_t y)
    {
        int32_t r = x % y;
        r += ((r != 0) & ((r ^ y) < 0)) * y;
        return r;
    }
    template <>
    inline int64_t _brian_mod(int32_t x, int64_t y)
    {
        int64_t r = x % y;
        r += ((r != 0) & ((r ^ y) < 0)) * y;
        return r;
    }
    template <>
    inline int64_t _brian_mod(int64_t x, int32_t y)
    {
        int64_t r = x % y;
        r += ((r != 0) & ((r ^ y) < 0)) * y;
        return r;
    }
    template <>
    inline int64_t _brian_mod(int64_t x, int64_t y)
    {
        int64_t r = x % y;
        r += ((r != 0) & ((r ^ y) < 0)) * y;
        return r;
    }
    // General implementation, used for floating point types
    template < typename T1, typename T2 >
    static inline typename _higher_type<T1,T2>::type
    _brian_floordiv(T1 x, T2 y)
    {{
        return floor(1.0*x/y);
    }}
    // Specific implementations for integer types
    // (from Cython, see LICENSE file)
    template <>
    inline int32_t _brian_floordiv<int32_t, int32_t>(int32_t a, int32_t b) {
        int32_t q = a / b;
        int32_t r = a - q*b;
        q -= ((r != 0) & ((r ^ b) < 0));
        return q;
    }
    template <>
    inline int64_t _brian_floordiv<int32_t, int64_t>(int32_t a, int64_t b) {
        int64_t q = a / b;
        int64_t r = a - q*b;
        q -= ((r != 0) & ((r ^ b) < 0));
        return q;
    }
    template <>
    inline int64_t _brian_floordiv<int64_t, int>(int64_t a, int32_t b) {
        int64_t q = a / b;
        int64_t r = a - q*b;
        q -= ((r != 0) & ((r ^ b) < 0));
        return q;
    }
    template <>
    inline int64_t _brian_floordiv<int64_t, int64_t>(int64_t a, int64_t b) {
        int64_t q = a / b;
        int64_t r = a - q*b;
        q -= ((r != 0) & ((r ^ b) < 0));
        return q;
    }
    #ifdef _MSC_VER
    #define _brian_pow(x, y) (pow((double)(x), (y)))
    #else
    #define _brian_pow(x, y) (pow((x), (y)))
    #endif

}

////// HASH DEFINES ///////



void _run_neurongroup_stateupdater_codeobject()
{
    using namespace brian;


    ///// CONSTANTS ///////////
    const double Cm = 2e-10;
const double EK = - 0.09;
const double ENa = 0.05;
const double Ee = 0.0;
const double Ei = - 0.08;
const double El = - 0.06;
const int64_t N = 4000;
const double VT = - 0.063;
const size_t _numdt = 1;
const double g_kd = 6e-06;
const double g_na = 1.9999999999999998e-05;
const size_t _numge = 4000;
const size_t _numgi = 4000;
const double gl = 1e-08;
const size_t _numh = 4000;
const size_t _numlastspike = 4000;
const size_t _numm = 4000;
const double mV = 0.001;
const double ms = 0.001;
const size_t _numn = 4000;
const size_t _numnot_refractory = 4000;
const size_t _numt = 1;
const double taue = 0.005;
const double taui = 0.01;
const size_t _numv = 4000;
    ///// POINTERS ////////////
        
    double*   _ptr_array_defaultclock_dt = _array_defaultclock_dt;
    double* __restrict  _ptr_array_neurongroup_ge = _array_neurongroup_ge;
    double* __restrict  _ptr_array_neurongroup_gi = _array_neurongroup_gi;
    double* __restrict  _ptr_array_neurongroup_h = _array_neurongroup_h;
    double* __restrict  _ptr_array_neurongroup_lastspike = _array_neurongroup_lastspike;
    double* __restrict  _ptr_array_neurongroup_m = _array_neurongroup_m;
    double* __restrict  _ptr_array_neurongroup_n = _array_neurongroup_n;
    char* __restrict  _ptr_array_neurongroup_not_refractory = _array_neurongroup_not_refractory;
    double*   _ptr_array_defaultclock_t = _array_defaultclock_t;
    double* __restrict  _ptr_array_neurongroup_v = _array_neurongroup_v;


    //// MAIN CODE ////////////
    // scalar code
    const size_t _vectorisation_idx = -1;
        
    const double dt = _ptr_array_defaultclock_dt[0];
    const double t = _ptr_array_defaultclock_t[0];
    const int64_t _lio_1 = _timestep(0.003, dt);
    const double _lio_2 = exp(1.0f*((- 1.0) * dt)/taue);
    const double _lio_3 = exp(1.0f*((- 1.0) * dt)/taui);
    const double _lio_4 = 1.0f*(0.128 * (2.5713844347880297 * exp(1.0f*(0.05555555555555555 * VT)/mV)))/ms;
    const double _lio_5 = 1.0f*0.05555555555555555/mV;
    const double _lio_6 = (ms * 2980.9579870417283) * exp(1.0f*(0.2 * VT)/mV);
    const double _lio_7 = 1.0f*0.2/mV;
    const double _lio_8 = 1.0f*(0.128 * (2.5713844347880297 * (_brian_pow(exp(1.0f*VT/mV), 0.05555555555555555))))/ms;
    const double _lio_9 = 1.0f*1.0/mV;
    const double _lio_10 = 1.0f*1.28/ms;
    const double _lio_11 = 1.0f*(- 1.28)/ms;
    const double _lio_12 = (1.0f*(0.25 * VT)/mV) + 3.25;
    const double _lio_13 = 1.0f*0.25/mV;
    const double _lio_14 = 1.0f*1.4/ms;
    const double _lio_15 = (- 8.0) + (1.0f*(0.2 * (- VT))/mV);
    const double _lio_16 = 1.0f*0.16/ms;
    const double _lio_17 = 1.0f*((- 0.6420127083438707) * (_brian_pow(exp(1.0f*VT/mV), 0.025)))/ms;
    const double _lio_18 = 3.0 + (1.0f*(0.2 * VT)/mV);
    const double _lio_19 = 1.0f*(El * gl)/Cm;
    const double _lio_20 = 1.0f*(EK * g_kd)/Cm;
    const double _lio_21 = 1.0f*(ENa * g_na)/Cm;
    const double _lio_22 = 1.0f*Ee/Cm;
    const double _lio_23 = 1.0f*Ei/Cm;
    const double _lio_24 = 0.0 - (1.0f*gl/Cm);
    const double _lio_25 = 1.0f*(- g_kd)/Cm;
    const double _lio_26 = 1.0f*g_na/Cm;
    const double _lio_27 = 1.0f*1.0/Cm;


    const int _N = N;
    #pragma omp parallel for schedule(static)
    for(int _idx=0; _idx<_N; _idx++)
    {
        // vector code
        const size_t _vectorisation_idx = _idx;
                
        double ge = _ptr_array_neurongroup_ge[_idx];
        double gi = _ptr_array_neurongroup_gi[_idx];
        double h = _ptr_array_neurongroup_h[_idx];
        const double lastspike = _ptr_array_neurongroup_lastspike[_idx];
        double m = _ptr_array_neurongroup_m[_idx];
        double n = _ptr_array_neurongroup_n[_idx];
        double v = _ptr_array_neurongroup_v[_idx];
        char not_refractory;
        not_refractory = _timestep(t - lastspike, dt) >= _lio_1;
        const double _ge = _lio_2 * ge;
        const double _gi = _lio_3 * gi;
        const double _BA_h = 1.0f*(_lio_4 * exp(_lio_5 * (- v)))/((1.0f*(- 4.0)/(ms + (_lio_6 * exp(_lio_7 * (- v))))) - (1.0f*_lio_8/(_brian_pow(exp(_lio_9 * v), 0.05555555555555555))));
        const double _h = (- _BA_h) + ((_BA_h + h) * exp(dt * ((1.0f*(- 4.0)/(ms + (_lio_6 * exp(_lio_7 * (- v))))) - (1.0f*_lio_8/(_brian_pow(exp(_lio_9 * v), 0.05555555555555555))))));
        const double _BA_m = 1.0f*_lio_10/(((1.0f*_lio_11/_exprel(_lio_12 - (_lio_13 * v))) - (1.0f*_lio_14/_exprel(_lio_15 + (_lio_7 * v)))) * _exprel(_lio_12 - (_lio_13 * v)));
        const double _m = (- _BA_m) + ((_BA_m + m) * exp(dt * ((1.0f*_lio_11/_exprel(_lio_12 - (_lio_13 * v))) - (1.0f*_lio_14/_exprel(_lio_15 + (_lio_7 * v))))));
        const double _BA_n = 1.0f*_lio_16/(((1.0f*_lio_17/(_brian_pow(exp(_lio_9 * v), 0.025))) - (1.0f*_lio_16/_exprel(_lio_18 - (_lio_7 * v)))) * _exprel(_lio_18 - (_lio_7 * v)));
        const double _n = (- _BA_n) + ((_BA_n + n) * exp(dt * ((1.0f*_lio_17/(_brian_pow(exp(_lio_9 * v), 0.025))) - (1.0f*_lio_16/_exprel(_lio_18 - (_lio_7 * v))))));
        const double _BA_v = 1.0f*(_lio_19 + ((((_lio_20 * (_brian_pow(n, 4))) + (_lio_21 * (h * (_brian_pow(m, 3))))) + (_lio_22 * ge)) + (_lio_23 * gi)))/((_lio_24 + (_lio_25 * (_brian_pow(n, 4)))) - (((_lio_26 * (h * (_brian_pow(m, 3)))) + (_lio_27 * ge)) + (_lio_27 * gi)));
        const double _v = (- _BA_v) + ((_BA_v + v) * exp(dt * ((_lio_24 + (_lio_25 * (_brian_pow(n, 4)))) - (((_lio_26 * (h * (_brian_pow(m, 3)))) + (_lio_27 * ge)) + (_lio_27 * gi)))));
        ge = _ge;
        gi = _gi;
        h = _h;
        m = _m;
        n = _n;
        v = _v;
        _ptr_array_neurongroup_ge[_idx] = ge;
        _ptr_array_neurongroup_gi[_idx] = gi;
        _ptr_array_neurongroup_h[_idx] = h;
        _ptr_array_neurongroup_m[_idx] = m;
        _ptr_array_neurongroup_n[_idx] = n;
        _ptr_array_neurongroup_not_refractory[_idx] = not_refractory;
        _ptr_array_neurongroup_v[_idx] = v;

    }

}


